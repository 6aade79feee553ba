"""The packages that `codemem` needs and a GPU machine without a network lacks, as wheels in a folder to carry there.

    python -m codemem.benchmarks.wheels [--into .whl]

Same versions as in this environment, for Python 3.12 on Linux and x86-64. There, from the repository's root:

    python3 -m pip install -q --no-index --no-deps --no-compile --target /tmp/site .whl/*.whl
    PYTHONPATH=/tmp/site OUT=results python3 -m codemem.benchmarks.gpu_session

The machine's image has torch, triton, numpy, safetensors, tokenizers, typer, rich, pathspec, huggingface-hub, filelock,
xxhash and fsspec. Everything in benchmarks/ but `cli_session` runs with those alone.
"""

import argparse
import importlib.metadata
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

PACKAGES = (
    "tree-sitter",
    "tree-sitter-language-pack",
    "tree-sitter-c-sharp",
    "tree-sitter-embedded-template",
    "tree-sitter-yaml",
    "gguf",
    "platformdirs",
    "cryptography",
    "cffi",
    "pycparser",
    "pygls",
    "lsprotocol",
    "cattrs",
)
LARGEST_BYTES = 64_000_000 - 33_000_000
"""What may be carried, less the repository's own files."""
GLIBC = (17, 24, 27, 28, 34)


def fetch(target: Path) -> int:
    """Downloads the wheels; their bytes. Raises CalledProcessError if one is not to be had."""
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.whl"):
        old.unlink()
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in GLIBC] + ["manylinux2014_x86_64", "manylinux1_x86_64"]
    wanted = [f"{name}=={importlib.metadata.version(name)}" for name in PACKAGES]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
            *("--python-version", "3.12", "--implementation", "cp"),
            *(option for platform in platforms for option in ("--platform", platform)),
            *("--dest", str(target), *wanted),
        ],
        check=True,
    )
    return sum(wheel.stat().st_size for wheel in target.glob("*.whl"))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=Path(".whl"))
    size = fetch(parser.parse_args(arguments).into)
    print(f"{size:,} bytes of wheels; {LARGEST_BYTES:,} may be carried")
    return 0 if size <= LARGEST_BYTES else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
