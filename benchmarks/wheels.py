"""The packages that `codemem` needs and a GPU machine without a network lacks, as wheels in a folder to carry there.

    python -m codemem.benchmarks.wheels [--into .whl]

Same versions as in this environment, for Python 3.12 on Linux and x86-64. There, from the repository's root:

    python3 -m pip install -q --no-index --no-deps --no-compile --target /tmp/site .whl/*.whl
    PYTHONPATH=/tmp/site OUT=results python3 -m codemem.benchmarks.gpu_session

Taken are the packages that the installed codemem declares, and what these declare in turn, but not those that the
machine's image has (`IMAGE`: torch, triton, numpy, safetensors, tokenizers, rich, pathspec, huggingface-hub, filelock,
xxhash, fsspec, tqdm and pyyaml), which have what they need there. typer is taken although the image has one: pydantic,
which typer needs, was not there with it. What the session's stages other than `cli` import of them is gguf alone.
"""

import argparse
import importlib.metadata
import subprocess
import sys
from collections.abc import Collection, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

IMAGE = frozenset(
    (
        *("torch", "triton", "numpy", "safetensors", "tokenizers", "rich", "pathspec"),
        *("huggingface-hub", "filelock", "xxhash", "fsspec", "tqdm", "pyyaml"),
    )
)
PYTHON = "3.12"
MACHINE = {
    "python_version": PYTHON,
    "python_full_version": f"{PYTHON}.3",
    "implementation_version": f"{PYTHON}.3",
    "implementation_name": "cpython",
    "platform_python_implementation": "CPython",
    "os_name": "posix",
    "sys_platform": "linux",
    "platform_system": "Linux",
    "platform_machine": "x86_64",
}
"""What requirements ask about the machine, by their markers' names."""
LARGEST_BYTES = 64_000_000 - 33_000_000
"""What may be carried, less the repository's own files."""
GLIBC = (17, 24, 27, 28, 34)


def needed(root: str = "codemem", there: Collection[str] = IMAGE) -> dict[str, str]:
    """Packages that `root` needs on such a machine beside those that are `there`, and their versions here.

    Raises PackageNotFoundError if one of them is not installed in this environment.
    """
    found: dict[str, str] = {}
    left, seen = [(root, "")], set[tuple[str, str]]()
    while left:
        name, extra = left.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in importlib.metadata.requires(name) or ():
            wanted = Requirement(line)
            if wanted.marker and not wanted.marker.evaluate(MACHINE | {"extra": extra}):
                continue
            other = canonicalize_name(wanted.name)
            if other not in there:
                found[other] = importlib.metadata.version(other)
                left += [(other, each) for each in ("", *sorted(wanted.extras))]
    return dict(sorted(found.items()))


def fetch(target: Path) -> int:
    """Downloads the wheels; their bytes. Raises CalledProcessError if one is not to be had."""
    target.mkdir(parents=True, exist_ok=True)
    for old in target.glob("*.whl"):
        old.unlink()
    platforms = [f"manylinux_2_{minor}_x86_64" for minor in GLIBC] + ["manylinux2014_x86_64", "manylinux1_x86_64"]
    wanted = [f"{name}=={version}" for name, version in needed().items()]
    subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"),
            *("--python-version", PYTHON, "--implementation", "cp"),
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
