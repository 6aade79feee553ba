"""Hook managers that own a repository's hook files, and what their users add by hand to have codemem beside them."""

from dataclasses import dataclass
from pathlib import Path

from codemem.hooks.script import EVENTS, LINE, SCRIPT

_LEFTHOOK_FILES = ("lefthook.yml", "lefthook.yaml", ".lefthook.yml", ".lefthook.yaml")


@dataclass(frozen=True, slots=True)
class Manager:
    """Who writes the hook files, the files where its users add hooks, and how."""

    name: str
    files: tuple[Path, ...]
    advice: str

    @property
    def calls_codemem(self) -> bool:
        """Whether someone has followed the advice."""
        return any(_names_script(path) for path in self.files)


def manager_of(root: Path, hook: Path) -> Manager:
    """Who put a hook file there that is not ours; `hook` is where git looks for it."""
    if hook.parent.name == "_" and hook.parent.parent.name == ".husky":
        own = hook.parent.parent / hook.name
        return Manager("husky", (own,), f"add this line to {own}:\n{LINE}")
    text = hook.read_text("utf-8", "replace") if hook.is_file() else ""
    if "lefthook" in text:
        return Manager("lefthook", tuple(root / name for name in _LEFTHOOK_FILES), _lefthook(hook.name))
    if "pre-commit" in text:
        return Manager("pre-commit", (root / ".pre-commit-config.yaml",), _pre_commit())
    return Manager("a hook of your own", (hook,), f"add this line to {hook}, before any `exit` or `exec`:\n{LINE}")


def _names_script(path: Path) -> bool:
    return path.is_file() and SCRIPT in path.read_text("utf-8", "replace")


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
