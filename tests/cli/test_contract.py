"""Freezes the command line: commands, options and JSON keys.

Scripts, editors and agents are written against these names. A name may be added here together with its documentation
in docs/cli.md; a change or removal breaks users and needs a new major version.
"""

from pathlib import Path
from typing import Any

import pytest
import typer

from cli.conftest import CommandLine
from codemem.cli.app import app

ANSWERS = {
    "--repositories", "--split", "--system", "--package", "--most", "--tongue", "--phrasing", "--tokens",
    "--source-tokens", "--answer-tokens", "--rounds", "--ranking-only", "--out", "--model", "--adapter", "--reader",
    "--rival-model", "--rival-reader", "--device", "--json",
}  # fmt: skip
OPTIONS = {
    "index": {"path", "--for", "--upgrade", "--model", "--weights", "--device", "--json"},
    "find": {
        "query", "-k", "--router", "-C", "--overlay", "--batch", "--catch-up", "--model", "--device", "--ranking",
        "--gpu-memory", "--host-memory", "--json",
    },
    "ask": {
        "question", "-C", "--overlay", "--batch", "--catch-up", "--model", "--device", "--ranking", "--gpu-memory",
        "--host-memory", "--json",
    },
    "status": {"-C", "--verify", "--model", "--json"},
    "clean": {"-C", "--unused-days", "--everything", "--yes", "--json"},
    "model list": {"--json"},
    "model pull": {"name", "--revision", "--json"},
    "model info": {"name", "--json"},
    "model convert": {
        "source", "target", "--layers", "--top-k", "--chunk-tokens", "--aux-loss-method", "--seed", "--json",
    },
    "model check": {"name", "--facts", "--documents", "--record", "--weights", "--device", "--json"},
    "bench route": {
        "--shape", "--tokens", "--query-tokens", "--batches", "--formats", "--engine", "--seconds", "--out", "--device",
        "--json",
    },
    "bench encode": {
        "--shape", "--document-tokens", "--pack-tokens", "--seconds", "--out", "--device", "--json",
    },
    "bench decode": {"--shape", "--memory-rows", "--text-tokens", "--steps", "--out", "--device", "--json"},
    "bench find": {"--shape", "--tokens", "--query-tokens", "--tier", "--answer", "--out", "--device", "--json"},
    "bench scale": {
        "corpus", "--sizes", "--layers", "--pool", "--answers", "--bm25", "--minilm", "--processes", "--work", "--plot",
        "--out", "--model", "--device", "--json",
    },
    "eval golden": {"directory", "--device", "--json"},
    "eval facts": ANSWERS,
    "eval hops": ANSWERS,
    "eval premises": ANSWERS,
    "eval statements": ANSWERS,
    "eval swe-qa": {
        "data", "--references", "--checkouts", "--clones", "--system", "--most", "--source-tokens", "--answer-tokens",
        "--rounds", "--out", "--model", "--adapter", "--reader", "--rival-model", "--rival-reader", "--device",
        "--json",
    },
    "eval functions": {"pool", "--system", "--out", "--model", "--adapter", "--device", "--json"},
    "eval retrieval": {
        "data", "--checkouts", "--clones", "--set", "--system", "--out", "--model", "--adapter", "--device", "--json",
    },
    "memory export": {"place", "-C", "--key", "--json"},
    "memory import": {
        "place", "--trust", "--trusted-key", "--verify-sample", "-C", "--model", "--device", "--json",
    },
    "memory keygen": {"--out", "--json"},
    "train": {
        "--out", "-C", "--data", "--minutes", "--stop-after", "--recipe", "--resume", "--model", "--device", "--json",
    },
    "hook install": {"-C", "--json"},
    "hook uninstall": {"-C", "--json"},
    "hook status": {"-C", "--json"},
    "serve start": {"--http", "--port", "-C", "--json"},
    "serve stop": {"--json"},
    "serve status": {"--json"},
    "serve logs": {"-n", "--json"},
    "lsp": {"--tcp", "--stdio", "--device"},
    "mcp": {"-C", "--device"},
}  # fmt: skip

FOUND = {"repository", "path", "start_line", "end_line", "symbol", "score", "text"}
CITED = {"repository", "path", "start_line", "end_line", "symbol", "score"}
BEHIND = {"added", "changed", "removed"}
INDEX = {
    "path",
    "model",
    "documents",
    "tokens",
    "encoded",
    "reused",
    "removed",
    "skipped",
    "seconds",
    "tokens_per_second",
}
FIND = {"query", "model", "commit", "fresh", "behind", "took_ms", "route_ms", "results", "router", "notes"}
ASK = {
    "question", "answer", "found", "citations", "rounds", "model", "commit", "fresh", "behind", "stats", "places",
    "notes",
}  # fmt: skip
STATS = {"route_ms", "first_token_ms", "tokens", "tokens_per_second"}
STATUS = {
    "path", "model", "commit", "fresh", "documents", "tokens", "bytes", "behind", "daemon",
    "purpose", "in_memory", "skipped", "problems", "notes",
}  # fmt: skip
EXPORT = {"place", "model", "entries", "reused", "missing", "bytes", "signed_by"}
IMPORT = {"place", "model", "entries", "reused", "sampled", "worst", "renumbered", "notes"}


def commands(group: Any, prefix: str = "") -> dict[str, set[str]]:
    """Every command by its full name, with the names of its options and arguments."""
    found: dict[str, set[str]] = {}
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            found |= commands(command, f"{prefix}{name} ")
            continue
        if command.hidden:  # what hooks and daemons call is no part of the contract
            continue
        found[f"{prefix}{name}"] = {_spelling(parameter) for parameter in command.params}
    return found


def _spelling(parameter: Any) -> str:
    return parameter.opts[0] if parameter.param_type_name == "option" else parameter.name


def test_commands_and_options() -> None:
    assert commands(typer.main.get_command(app)) == OPTIONS


def test_every_command_option_and_key_is_documented() -> None:
    text = (Path(__file__).parent.parent.parent / "docs" / "cli.md").read_text(encoding="utf-8")
    for command, options in OPTIONS.items():
        assert f"codemem {command}" in text
        missing = {option for option in options if option.startswith("-") and f"`{option}" not in text}
        assert not missing, command
    keys = INDEX | FIND | ASK | STATS | STATUS | FOUND | CITED | BEHIND | EXPORT | IMPORT
    assert {key for key in keys if f"`{key}`" not in text} == set()


@pytest.fixture
def indexed(codemem: CommandLine) -> CommandLine:
    assert codemem("index").returncode == 0
    return codemem


def test_keys_of_index(codemem: CommandLine) -> None:
    (codemem.where / "image.png").write_bytes(b"\x89PNG\0")
    result = codemem.json("index")
    assert set(result) == INDEX
    assert result["skipped"] == [{"path": "image.png", "reason": "binary file"}]
    assert (result["model"], result["path"]) == ("tiny", str(codemem.where))


def test_keys_of_find(indexed: CommandLine) -> None:
    result = indexed.json("find", "retry an operation", "-k", "2")
    assert set(result) == FIND
    assert set(result["behind"]) == BEHIND
    assert len(result["results"]) == 2
    assert all(set(place) == FOUND for place in result["results"])
    assert result["fresh"] is True


def test_keys_of_ask(indexed: CommandLine) -> None:
    result = indexed.json("ask", "What does retry do?")
    assert set(result) == ASK
    assert set(result["stats"]) == STATS
    assert all(set(citation) == CITED for citation in result["citations"])
    (first, *_) = result["rounds"]
    assert {"named", "layers"} <= set(first)
    assert set(first["layers"][0]) == {"layer", "documents"}
    assert set(first["layers"][0]["documents"][0]) == {"path", "score"}
    assert all(set(place) == FOUND for place in result["places"])
    assert bool(result["answer"]) == result["found"]


def test_keys_of_status(indexed: CommandLine) -> None:
    result = indexed.json("status", "--verify")
    assert set(result) == STATUS
    assert set(result["behind"]) == BEHIND
    assert result["daemon"] is None


def test_keys_of_model_and_clean(indexed: CommandLine) -> None:
    listed = indexed.json("model", "list")["models"]
    assert [model["name"] for model in listed] == ["tiny", "small", "medium", "msa-4b"]
    assert set(listed[0]) == {
        "name", "title", "default", "path", "licence", "repository", "revision", "file", "bytes", "sha256",
    }  # fmt: skip
    assert set(indexed.json("model", "info", "tiny")) == {*listed[0], "msa"}
    assert set(indexed.json("model", "pull", "tiny")) == {"name", "path"}
    assert set(indexed.json("clean")) == {"removed", "entries", "bytes"}


def test_keys_of_memory(indexed: CommandLine) -> None:
    key = indexed.json("memory", "keygen")
    assert set(key) == {"key", "path"}
    place = str(indexed.home / "shared")
    exported = indexed.json("memory", "export", place)
    assert set(exported) == EXPORT
    assert (exported["entries"], exported["missing"], exported["signed_by"]) == (3, 0, key["key"])
    indexed.json("clean", "--unused-days", "0")
    imported = indexed.json("memory", "import", place, "--verify-sample", "1")
    assert set(imported) == IMPORT
    assert (imported["entries"], imported["sampled"], imported["worst"]) == (3, 1, 0.0)
    assert indexed.json("index")["encoded"] == 0


def test_a_batch_prints_one_object_a_line(indexed: CommandLine) -> None:
    import json

    done = indexed("find", "--batch", "-", "-k", "1", stdin="retry\n\nevict the oldest\n")
    assert [json.loads(line)["query"] for line in done.stdout.splitlines()] == ["retry", "evict the oldest"]
    (indexed.where / "questions").write_text("What retries?\n", encoding="utf-8")
    done = indexed("ask", "--batch", "questions")
    assert [json.loads(line)["question"] for line in done.stdout.splitlines()] == ["What retries?"]
