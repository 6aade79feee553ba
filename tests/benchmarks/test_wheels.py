"""What is carried to a GPU machine without a network: all that the command line needs and the machine lacks."""

import importlib.metadata

import pytest

from codemem.benchmarks.wheels import IMAGE, needed

DECLARED = {
    "root": [
        "one>=1",
        "There",
        "windows; sys_platform == 'win32'",
        "tests; extra == 'dev'",
        "old; python_version<'3.12'",
    ],
    "one": ["Two_Words[speed]>=1", "root"],
    "two-words": ["fast; extra == 'speed'", "slow; extra == 'comfort'"],
    "there": ["of-there"],
    "fast": None,
}


def test_what_is_declared_is_followed_by_the_machines_markers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.metadata, "requires", DECLARED.__getitem__)
    monkeypatch.setattr(importlib.metadata, "version", {"one": "1", "two-words": "2", "fast": "3", "root": "4"}.get)
    assert needed("root", {"there"}) == {"fast": "3", "one": "1", "root": "4", "two-words": "2"}


def test_the_command_lines_own_needs_are_among_them() -> None:
    names = needed()
    # typer turns arguments into values with pydantic, which a machine lacked.
    assert {"gguf", "tree-sitter-language-pack", "typer", "pydantic", "pydantic-core"} <= set(names)
    assert not IMAGE & set(names)
    assert not {"mcp", "zstandard", "matplotlib"} & set(names)  # extras
