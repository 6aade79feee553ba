"""`codemem hook install|uninstall|status`.

Git 2.54 and later take hooks from configuration, beside any hook file: nothing that anyone else owns is touched. Before
that a hook file is written where none stands; where one does, its owner gets a line to add. core.hooksPath is never
set: it would turn off the hooks of everyone else.
"""

import contextlib
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from codemem.errors import CodememError
from codemem.hooks import git
from codemem.hooks.managers import manager_of
from codemem.hooks.script import CONFIG_COMMAND, EVENTS, HOOK_FILE, MARKER, SCRIPT, script_text

SECTION = "hook.codemem"
"""A name that is no event: git refuses every commit where one is."""
State = Literal["installed", "absent", "foreign"]


@dataclass(frozen=True, slots=True)
class Hook:
    """One event, and whether codemem hears of it."""

    event: str
    state: State
    """'foreign': another's hook file stands there that does not call codemem."""
    where: str
    """The configuration key, or the file."""


@dataclass(frozen=True, slots=True)
class HookStatus:
    """What is installed in one repository."""

    path: str
    git: str
    method: Literal["config", "files"]
    script: bool
    """Whether the script that the hooks call is there and of this version and interpreter."""
    hooks: tuple[Hook, ...]
    advice: tuple[str, ...] = ()
    """What the user has to add by hand, with the events it is for."""

    @property
    def active(self) -> bool:
        return self.script and all(hook.state == "installed" for hook in self.hooks)

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"active": self.active}


def hook_status(root: Path) -> HookStatus:
    """Looks; changes nothing. `root` is the top of a working tree of git. Raises CodememError if git fails."""
    version = git.git_version(root)
    script = git.common_directory(root) / SCRIPT
    current = script.is_file() and script.read_text("utf-8", "replace") == script_text()
    method: Literal["config", "files"] = "config" if version >= git.CONFIG_HOOKS_SINCE else "files"
    hooks, advice = _in_config(root) if method == "config" else _in_files(root)
    return HookStatus(str(root), ".".join(map(str, version)), method, current, hooks, advice)


def install_hooks(root: Path) -> HookStatus:
    """Installs what can be installed without touching what is another's; the status says what is left to do by hand."""
    common = git.common_directory(root)
    _write(common / SCRIPT, script_text(), mode=0o644)
    if git.git_version(root) >= git.CONFIG_HOOKS_SINCE:
        git.set_config(root, f"{SECTION}.command", (CONFIG_COMMAND,))
        git.set_config(root, f"{SECTION}.event", EVENTS)
        _remove_files(root)
    else:
        directory = git.hooks_directory(root)
        for hook in _in_files(root)[0]:
            # A folder that core.hooksPath names may be tracked: nothing is written there.
            if hook.state == "absent" and directory.is_relative_to(common):
                _write(Path(hook.where), HOOK_FILE, mode=0o755)
    return hook_status(root)


def uninstall_hooks(root: Path) -> HookStatus:
    """Removes everything that `install_hooks` wrote. Lines that a user added elsewhere then do nothing."""
    git.remove_section(root, SECTION)
    _remove_files(root)
    script = git.common_directory(root) / SCRIPT
    script.unlink(missing_ok=True)
    with contextlib.suppress(OSError):  # the memory lies there
        script.parent.rmdir()
    return hook_status(root)


def _in_config(root: Path) -> tuple[tuple[Hook, ...], tuple[str, ...]]:
    events = git.config_values(root, f"{SECTION}.event")
    known = git.config_values(root, f"{SECTION}.command") == [CONFIG_COMMAND]
    enabled = git.config_values(root, f"{SECTION}.enabled")[-1:] not in (["false"], ["no"], ["off"], ["0"])
    return tuple(
        Hook(event, "installed" if known and enabled and event in events else "absent", f"{SECTION}.event")
        for event in EVENTS
    ), ()


def _in_files(root: Path) -> tuple[tuple[Hook, ...], tuple[str, ...]]:
    directory, common = git.hooks_directory(root), git.common_directory(root)
    hooks: list[Hook] = []
    advice: dict[str, list[str]] = {}
    for event in EVENTS:
        path = directory / event
        if _is_ours(path):
            hooks.append(Hook(event, "installed", str(path)))
        elif not _stands(path) and directory.is_relative_to(common):
            hooks.append(Hook(event, "absent", str(path)))
        else:
            manager = manager_of(root, path)
            hooks.append(Hook(event, "installed" if manager.calls_codemem else "foreign", str(path)))
            if not manager.calls_codemem:
                advice.setdefault(f"owned by {manager.name}: {manager.advice}", []).append(event)
    return tuple(hooks), tuple(f"{', '.join(events)}, {text}" for text, events in advice.items())


def _stands(path: Path) -> bool:
    return path.is_symlink() or path.exists()


def _is_ours(path: Path) -> bool:
    return path.is_file() and not path.is_symlink() and MARKER in path.read_text("utf-8", "replace")


def _remove_files(root: Path) -> None:
    for event in EVENTS:
        path = git.hooks_directory(root) / event
        if _is_ours(path):
            path.unlink()


def _write(path: Path, text: str, *, mode: int) -> None:
    """Replaces a file in one step: git may be about to run it. Raises CodememError."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(prefix=".codemem-", dir=path.parent)
        with open(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
            os.fchmod(file.fileno(), mode)
        os.replace(temporary, path)
    except OSError as error:
        raise CodememError(f"{path} cannot be written: {error.strerror or error}") from error
