"""The tools, called by the official client over standard input and output."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest
from agents_daemon import daemon_of, end_daemon
from mcp import Client, StdioServerParameters, stdio_client

SECONDS = 60
"""For anything that a test waits for: an upper bound for a loaded machine, not an expectation."""
_T = TypeVar("_T")


def talk(
    environment: dict[str, str], arguments: list[str], where: Path, scenario: Callable[[Client], Awaitable[_T]]
) -> _T:
    """What a scenario returns that a client played with a server of its own."""

    async def inside() -> _T:
        parameters = StdioServerParameters(
            command=sys.executable, args=["-m", "codemem", "mcp", *arguments], env=environment, cwd=where
        )
        async with Client(stdio_client(parameters), read_timeout_seconds=SECONDS) as client:
            return await scenario(client)

    return asyncio.run(inside())


async def reply(client: Client, tool: str, **arguments: Any) -> dict[str, Any]:
    """The structured result."""
    result = await client.call_tool(tool, arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    return result.structured_content


async def refusal(client: Client, tool: str, **arguments: Any) -> str:
    result = await client.call_tool(tool, arguments)
    assert result.is_error
    return str(result.content[0].text)


async def ready_answer(client: Client, question: str) -> dict[str, Any]:
    """Asks again until the model is loaded."""
    async with asyncio.timeout(SECONDS):
        while (said := await reply(client, "ask", question=question))["state"] == "loading":
            await asyncio.sleep(0.2)
        return said


def test_tools_are_described_with_schemas(environment: dict[str, str], repository: Path) -> None:
    async def scenario(client: Client) -> Any:
        return (await client.list_tools()).tools

    tools = {tool.name: tool for tool in talk(environment, [], repository, scenario)}
    assert set(tools) == {"find", "ask", "read_span", "outline", "status"}
    for tool in tools.values():
        assert tool.output_schema is not None
        assert tool.annotations is not None
        assert tool.annotations.read_only_hint
        assert "context" not in tool.input_schema["properties"]
    assert tools["find"].input_schema["required"] == ["query"]


@pytest.mark.parametrize("daemon", ["auto", "off"])
def test_an_agent_finds_reads_and_asks(environment: dict[str, str], repository: Path, daemon: str) -> None:
    """With the daemon's model, and with one of the server's own."""

    async def scenario(client: Client) -> None:
        first = (await reply(client, "ask", question="How is an entry evicted?"))["state"]
        assert first in ("loading", "answered", "not_found")
        found = (await reply(client, "find", query="evict the oldest entry", count=2))["results"]
        assert found[0]["path"] == "src/cache.py"
        span = await reply(client, "read_span", path=found[0]["path"], start_line=4, end_line=5)
        assert span["text"] == "    def lookup(self, key):\n        return self.entries.get(key)"
        assert span["total_lines"] == 8
        listed = await reply(client, "outline", path="src/cache.py")
        assert [d["name"] for d in listed["definitions"]] == ["Cache", "Cache.lookup", "Cache.evict"]
        assert "src/cache.py" in (await reply(client, "outline"))["files"]
        assert (await reply(client, "outline", path="src"))["files"] == ["src/cache.py"]
        said = await ready_answer(client, "How is an entry evicted?")
        assert said["state"] in ("answered", "not_found")
        assert said["answer"] if said["state"] == "answered" else said["places"]
        status = await reply(client, "status")
        assert (status["model"], status["model_state"]) == ("tiny", "ready")
        assert status["repositories"][0]["repository"] == str(repository)
        heard: list[str | None] = []

        async def hear(_: float, __: float | None, message: str | None) -> None:
            heard.append(message)

        await client.call_tool("ask", {"question": "What is kept?"}, progress_callback=hear)
        assert heard[0] is not None
        assert heard[0].startswith("reading ")
        found = await reply(client, "find", query="evict the oldest entry")
        assert (found["ranked_by"], found["notes"]) == ("both", [])

    talk(environment | {"CODEMEM_DAEMON": daemon}, [], repository, scenario)


def test_agents_share_one_model_and_outlive_it(environment: dict[str, str], repository: Path) -> None:
    async def ranked_by_both(client: Client) -> None:
        async with asyncio.timeout(SECONDS):
            while (await reply(client, "find", query="evict"))["ranked_by"] != "both":
                await asyncio.sleep(0.2)

    async def scenario(client: Client) -> None:
        await ranked_by_both(client)
        daemon = daemon_of(environment)
        assert daemon is not None
        await asyncio.to_thread(talk, environment, [], repository, ranked_by_both)
        assert daemon_of(environment)["pid"] == daemon["pid"]
        os.kill(daemon["pid"], signal.SIGKILL)
        assert (await reply(client, "find", query="evict"))["results"][0]["path"] == "src/cache.py"
        await ranked_by_both(client)
        assert daemon_of(environment)["pid"] != daemon["pid"]

    talk(environment, [], repository, scenario)


def test_the_server_itself_holds_no_model() -> None:
    script = "import sys, codemem.mcp.tools, codemem.mcp.models; print({'torch', 'tokenizers'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout == "set()\n"


@pytest.mark.parametrize("daemon", ["auto", "off"])
def test_a_cold_start_says_loading_at_once_with_places(
    environment: dict[str, str], repository: Path, tmp_path: Path, daemon: str
) -> None:
    """A model that takes for ever to load: its checkpoint is a pipe that nobody writes to."""
    slow = tmp_path / "slow"
    slow.mkdir()
    os.mkfifo(slow / "config.json")
    config = Path(environment["CODEMEM_HOME"], "config.toml").read_text()
    home = tmp_path / "home"
    home.mkdir()
    known = Path(environment["CODEMEM_HOME"], "tiny")
    (home / "config.toml").write_text(config.replace(str(known), str(slow)))
    (slow / "codemem-adapter.safetensors").symlink_to(known / "codemem-adapter.safetensors")
    (slow / "tokenizer.json").symlink_to(known / "tokenizer.json")
    (slow / "model.safetensors").symlink_to(known / "model.safetensors")

    async def scenario(client: Client) -> None:
        said = await reply(client, "ask", question="How is an entry evicted?")
        assert said["state"] == "loading"
        assert said["places"][0]["path"] == "src/cache.py"
        assert said["retry_seconds"] > 0
        found = await reply(client, "find", query="evict")
        assert found["ranked_by"] == "outline"
        assert "is loading" in found["notes"][-1]
        assert (await reply(client, "status"))["model_state"] == "loading"
        async with asyncio.timeout(SECONDS):
            while daemon == "auto" and daemon_of(slowly) is None:  # so that none is left that began after the test
                await asyncio.sleep(0.2)

    slowly = environment | {"CODEMEM_HOME": str(home), "CODEMEM_DAEMON": daemon}
    try:
        talk(slowly, [], repository, scenario)
    finally:
        end_daemon(slowly)


@pytest.mark.parametrize(
    "path",
    ["../outside.txt", "src/../../outside.txt", "/etc/passwd", "link.txt", "up/outside.txt", "private.txt", ".env",
     ".git/config", "src/cache.py\0", "src/./../../demo/src/cache.py"],
)  # fmt: skip
def test_no_path_leads_out_of_what_is_read(path: str, reader: Callable[[str], str], repository: Path) -> None:
    assert "is no file that codemem reads" in reader(path)


@pytest.fixture(scope="module")
def reader(environment: dict[str, str], repository: Path) -> Callable[[str], str]:
    """The refusals of one server, by path."""
    paths = [
        "../outside.txt", "src/../../outside.txt", "/etc/passwd", "link.txt", "up/outside.txt", "private.txt", ".env",
        ".git/config", "src/cache.py\0", "src/./../../demo/src/cache.py",
    ]  # fmt: skip

    async def scenario(client: Client) -> dict[str, str]:
        own = str(repository / "src/cache.py")
        assert (await reply(client, "read_span", path=own, end_line=1))["text"] == "class Cache:"
        return {path: await refusal(client, "read_span", path=path) for path in paths}

    return talk(environment, [], repository, scenario).__getitem__


def test_what_an_agent_wrote_is_read_and_mistakes_are_explained(environment: dict[str, str], repository: Path) -> None:
    async def scenario(client: Client) -> None:
        new = repository / "src/fresh.py"
        new.write_text("def fresh():\n    return 1\n")
        try:
            assert (await reply(client, "read_span", path="src/fresh.py"))["total_lines"] == 2
            new.write_text("def fresh():\n    return 2\n")
            assert "return 2" in (await reply(client, "read_span", path="src/fresh.py"))["text"]
        finally:
            new.unlink()
        assert "did you mean 'src/cache.py'" in await refusal(client, "read_span", path="src/cashe.py")
        assert "has 8 lines" in await refusal(client, "read_span", path="src/cache.py", start_line=9, end_line=9)
        assert "there is no repository 'other'" in await refusal(client, "outline", repository="other")
        assert "query" in await refusal(client, "find", query="")

    talk(environment, [], repository, scenario)


def test_two_repositories_and_one_that_is_not_indexed(
    environment: dict[str, str], repository: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "gnu.py").write_text("def gnu_horns():\n    pass\n")

    async def unindexed(client: Client) -> str:
        return await refusal(client, "find", query="gnu")

    assert "run `codemem index" in talk(environment, ["-C", str(other)], tmp_path, unindexed)
    index = [sys.executable, "-m", "codemem", "index", str(other), "--for", "outline"]
    subprocess.run(index, env=environment, check=True, capture_output=True)

    async def both(client: Client) -> None:
        assert (await reply(client, "find", query="gnu_horns"))["results"][0]["repository"] == str(other)
        assert (await reply(client, "read_span", path="gnu.py", repository="other"))["total_lines"] == 2

    talk(environment, ["-C", str(repository), "-C", str(other)], tmp_path, both)


def test_without_the_library_it_says_what_to_install(environment: dict[str, str], repository: Path) -> None:
    script = "import sys; sys.modules['mcp.server.mcpserver'] = None; from codemem.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", script, "mcp"],
        env=environment,
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert "codemem[mcp]" in done.stderr
