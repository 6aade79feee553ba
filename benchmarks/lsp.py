"""The language server as an editor sees it: how soon it answers, what it adds to the daemon, what edits cost.

    python -m codemem.benchmarks.lsp FOLDER [--runs N] [--asks N] > benchmarks/results/DATE-lsp.md

FOLDER is indexed and its model is the user's own. The server is a process of its own, spoken to over its standard input
and output; the daemon is started first and answers one query, so that the model is loaded. Times are medians with
the slowest in brackets, taken from this side of the pipe. On a machine that others use, the first line of the table (a
bare Python that ends at once) tells how much of them is the machine's.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from codemem import __version__
from codemem.config import Settings
from codemem.daemon.address import address_of
from codemem.daemon.client import connect_or_start

QUERIES = ("where is it checked", "parse the configuration", "raise an error", "read a file", "the default value")
EDITS = 10_000
COMMAND = "workspace/executeCommand"


class Client:
    """A plain LSP client over a server's standard input and output."""

    def __init__(self, folder: Path) -> None:
        self.started = time.perf_counter()
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "codemem", "lsp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=folder
        )
        self._identity = 0
        self.heard: list[tuple[float, dict[str, Any]]] = []
        """Notifications, and when they came."""

    def send(self, method: str, params: Any, *, request: bool = True) -> int:
        self._identity += 1
        message = {"jsonrpc": "2.0", "method": method, "params": params} | ({"id": self._identity} if request else {})
        body = json.dumps(message).encode()
        assert self.process.stdin is not None
        self.process.stdin.write(b"Content-Length: %d\r\n\r\n%s" % (len(body), body))
        self.process.stdin.flush()
        return self._identity

    def read(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        length = 0
        while line := self.process.stdout.readline().strip():
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        message: dict[str, Any] = json.loads(self.process.stdout.read(length))
        return message

    def wait(self, identity: int) -> Any:
        """The answer to a request: its result, or its error."""
        while (message := self.read()).get("id") != identity or "method" in message:
            self.heard.append((time.perf_counter(), message))
        return message.get("result", message.get("error"))

    def request(self, method: str, params: Any) -> Any:
        return self.wait(self.send(method, params))

    def command(self, name: str, argument: dict[str, Any]) -> Any:
        return self.request(COMMAND, {"command": name, "arguments": [argument]})

    def initialize(self, folder: Path) -> float:
        """Seconds from the start of the process to the answer."""
        self.request(
            "initialize",
            {
                "processId": None,
                "rootUri": None,
                "capabilities": {},
                "initializationOptions": {"answers": "notification", "keepUp": False},
                "workspaceFolders": [{"uri": folder.as_uri(), "name": folder.name}],
            },
        )
        took = time.perf_counter() - self.started
        self.send("initialized", {}, request=False)
        return took

    def resident_bytes(self) -> int:
        return int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1]) * resource.getpagesize()

    def leave(self) -> None:
        self.request("shutdown", None)
        self.send("exit", None, request=False)
        self.process.wait(30)


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def shown(seconds: Sequence[float]) -> str:
    """Milliseconds: the median, and the slowest."""
    return f"{statistics.median(seconds) * 1000:,.0f} ms ({max(seconds) * 1000:,.0f})"


def starting(folder: Path, runs: int) -> dict[str, str]:
    bare = [timed(lambda: subprocess.run([sys.executable, "-c", "pass"], check=True)) for _ in range(runs)]
    told, ready, processor = [], [], []
    for _ in range(runs):
        client = Client(folder)
        told.append(client.initialize(folder))
        spent = Path(f"/proc/{client.process.pid}/stat").read_text().rsplit(")", 1)[1].split()
        processor.append((int(spent[11]) + int(spent[12])) / os.sysconf("SC_CLK_TCK"))
        client.command("codemem.find", {"text": "anything"})
        ready.append(time.perf_counter() - client.started)
        client.leave()
    return {
        "a bare Python, started and ended": shown(bare),
        "process start to the answer to `initialize`": shown(told),
        "of it processor time": shown(processor),
        "process start to the first `find` answered": shown(ready),
    }


def finding(client: Client, runs: int, name: str) -> dict[str, str]:
    above, whole, route = [], [], []
    for number in range(runs + 1):
        started = time.perf_counter()
        found = client.command("codemem.find", {"text": QUERIES[number % len(QUERIES)]})["result"]
        took = time.perf_counter() - started
        if number:  # the first opens what stays open
            whole.append(took)
            route.append(found["route_ms"] / 1000)
            above.append(took - route[-1])
    return {
        f"`find`{name}, as the client sees it": shown(whole),
        f"of it routing{name}": shown(route),
        f"**above routing{name}**": shown(above),
    }


def asking(client: Client, folder: Path, asks: int) -> dict[str, str]:
    direct, through = [], []
    with connect_or_start(address_of(Settings.load())) as daemon:
        for number in range(asks):
            question = QUERIES[number % len(QUERIES)] + "?"
            first: list[float] = []
            started = time.perf_counter()

            def hear(kind: str, _: dict[str, Any], first: list[float] = first) -> None:
                if kind == "piece":
                    first.append(time.perf_counter())

            daemon.request("ask", {"paths": [str(folder)], "question": question, "max_tokens": 16}, hear)
            direct.append((first[0] if first else time.perf_counter()) - started)
            client.heard.clear()
            started = time.perf_counter()
            client.command("codemem.ask", {"text": question, "id": "bench"})
            texts = [at for at, said in client.heard if said.get("params", {}).get("kind") == "text"]
            through.append((texts[0] if texts else time.perf_counter()) - started)
    more = [one - other for one, other in zip(through, direct, strict=True)]
    return {
        "question to the first text, from the daemon": shown(direct),
        "question to the first text, through the server": shown(through),
        "**more than from the daemon**": shown(more),
    }


def cancelling(client: Client, runs: int) -> dict[str, str]:
    took = []
    for _ in range(runs):
        asked = client.send(COMMAND, {"command": "codemem.ask", "arguments": [{"text": "How?"}]})
        time.sleep(0.2)
        started = time.perf_counter()
        client.send("$/cancelRequest", {"id": asked}, request=False)
        client.wait(asked)
        took.append(time.perf_counter() - started)
    return {"`$/cancelRequest` to the answer": shown(took)}


def editing(client: Client, folder: Path) -> dict[str, str]:
    """EDITS edits of one open document of 5,000 lines; after every tenth of them an action is asked for."""
    uri = (folder / "edited.py").as_uri()
    item = {"uri": uri, "languageId": "python", "version": 1, "text": "x = 0  # a line as long as lines are\n" * 5000}
    client.send("textDocument/didOpen", {"textDocument": item}, request=False)
    memory, latency = [], []
    place = {"start": {"line": 1, "character": 0}, "end": {"line": 1, "character": 4}}
    action = {"textDocument": {"uri": uri}, "range": place, "context": {"diagnostics": []}}
    started = time.perf_counter()
    for number in range(EDITS):
        line = number * 7 % 5000
        where = {"start": {"line": line, "character": 4}, "end": {"line": line, "character": 5}}
        document = {"uri": uri, "version": number + 2}
        change = {"textDocument": document, "contentChanges": [{"range": where, "text": str(number % 10)}]}
        client.send("textDocument/didChange", change, request=False)
        if number % (EDITS // 10) == EDITS // 10 - 1:
            client.request("textDocument/codeAction", action)  # whatever waits is done
            latency.append(timed(lambda: client.request("textDocument/codeAction", action)))
            memory.append(client.resident_bytes() / 1e6)
    took = time.perf_counter() - started
    client.send("textDocument/didClose", {"textDocument": {"uri": uri}}, request=False)
    return {
        f"{EDITS:,} edits of a document of 5,000 lines": f"{took:,.1f} s",
        "memory of the server after each tenth of them": ", ".join(f"{size:.1f}" for size in memory) + " MB",
        "a code action after each tenth of them": ", ".join(f"{seconds * 1000:.1f}" for seconds in latency) + " ms",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--asks", type=int, default=3, help="0 where the memory is for `find` alone")
    asked = parser.parse_args()
    folder = asked.folder.resolve()
    with connect_or_start(address_of(Settings.load())) as daemon:
        daemon.request("find", {"paths": [str(folder)], "query": "anything"})
        tree = daemon.request("trees", {"paths": [str(folder)]})["trees"][0]
    rows = starting(folder, asked.runs)
    client = Client(folder)
    client.initialize(folder)
    rows |= finding(client, asked.runs, "")
    path = next(folder.rglob("*.py"))
    text = path.read_text(encoding="utf-8") + "\n# not saved\n"
    item = {"uri": path.as_uri(), "languageId": "python", "version": 1, "text": text}
    client.send("textDocument/didOpen", {"textDocument": item}, request=False)
    rows |= finding(client, asked.runs, " with an unsaved file")
    client.send("textDocument/didClose", {"textDocument": {"uri": path.as_uri()}}, request=False)
    if asked.asks:
        rows |= asking(client, folder, asked.asks)
        rows |= cancelling(client, asked.asks)
    rows |= editing(client, folder)
    client.leave()
    load = ", ".join(f"{average:.1f}" for average in os.getloadavg())
    print(f"# The language server, {datetime.now(UTC):%Y-%m-%d}\n")
    print(f"`python -m codemem.benchmarks.lsp {folder.name} --runs {asked.runs} --asks {asked.asks}`\n")
    print(f"codemem {__version__}, Python {platform.python_version()}, {platform.machine()}, {os.cpu_count()} cores;")
    print(f"load averages at the end {load}.")
    print(f"{tree['documents']} documents, {tree['tokens']:,} tokens, model {tree['model']}.")
    print("\n| what | median (slowest) |\n| --- | --- |")
    for name, value in rows.items():
        print(f"| {name} | {value} |")


if __name__ == "__main__":
    main()
