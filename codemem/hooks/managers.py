"""Hook managers that own a repository's hook files, and what their users add by hand to have codemem beside them."""

import re
from dataclasses import dataclass
from pathlib import Path

from codemem.hooks.script import EVENTS, LINE, SCRIPT

_LEFTHOOK_FILES = ("lefthook.yml", "lefthook.yaml", ".lefthook.yml", ".lefthook.yaml")


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes a hook file, and how its users add a hook."""

    name: str
    advice: str
    calls_codemem: bool
    """Whether someone has followed the advice."""


def manager_of(root: Path, hook: Path) -> Manager:
    """Who put a hook file there that is not ours; `hook` is where git looks for it."""
    if hook.parent.name == "_" and hook.parent.parent.name == ".husky":
        own = hook.parent.parent / hook.name
        return Manager("husky", f"add this line to {own}:\n{LINE}", SCRIPT in _text(own))
    text = _text(hook)
    if "lefthook" in text:
        calls = any(_in_section(_text(root / name), hook.name) for name in _LEFTHOOK_FILES)
        return Manager("lefthook", _lefthook(hook.name), calls)
    if "pre-commit" in text:
        config = _text(root / ".pre-commit-config.yaml")
        # pre-commit keeps the hook that stood there before, and calls it.
        calls = (SCRIPT in config and hook.name in config) or SCRIPT in _text(hook.with_name(f"{hook.name}.legacy"))
        return Manager("pre-commit", _pre_commit(), calls)
    advice = f"add this line to {hook}, before any `exit` or `exec`:\n{LINE}"
    return Manager("a hook of your own", advice, SCRIPT in text)


def _text(path: Path) -> str:
    return path.read_text("utf-8", "replace") if path.is_file() else ""


def _in_section(yaml: str, event: str) -> bool:
    """Whether the script is named below the top-level key of an event."""
    section = re.search(rf"^{event}:.*?(?=^\S|\Z)", yaml, re.MULTILINE | re.DOTALL)
    return section is not None and SCRIPT in section[0]


def _lefthook(event: str) -> str:
    run = LINE.replace('"$@"', "{0}")
    job = f"{event}:\n  jobs:\n    - name: codemem\n      run: '{run}'"
    return f"add this to lefthook.yml and run `lefthook install`:\n{job}"


def _pre_commit() -> str:
    return (
        "add this to .pre-commit-config.yaml:\n"
        "  - repo: local\n"
        "    hooks:\n"
        "      - id: codemem\n"
        "        name: codemem\n"
        "        language: system\n"
        f"        entry: sh -c '{LINE}' codemem\n"
        "        always_run: true\n"
        "        pass_filenames: false\n"
        f"        stages: [{', '.join(EVENTS)}]"
    )
