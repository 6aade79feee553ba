"""Weights and data to a lent machine that takes 64 MiB a call, and results back (docs/training.md).

    python -m codemem.training.carry cut PATH... --into .work/carry        # here; prints what each call carries
    python -m codemem.training.carry join NAME... --folder .work/carry --to .work   # there
    python -m codemem.training.carry cut FILE --into FOLDER --part-bytes 15000000 --whole   # there, for the way back
    python -m codemem.training.carry lay NAME... --folder .work/cut --into .work/call   # here: a folder a call

PATH is a file or a folder (which becomes a tar). Of a .gguf file what nobody reads stays here, unless `--whole`. `lay`
takes files of the folder, cut ones as their parts, and keeps their order: what is needed first travels first.
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

from codemem.training.carry.parts import cut, join, plan_path, read_plan

CALL_BYTES = 64 << 20
MARGIN_BYTES = 1 << 20
CALL_PATHS = 8


def main(arguments: Sequence[str] | None = None) -> None:
    """Cuts, lays out or joins; `cut` prints one JSON list of paths a call, in order, `lay` the folder of each."""
    options = _options(arguments)
    try:
        if options.action == "cut":
            _cut(options)
        elif options.action == "lay":
            for folder in lay(options.folder, options.names, options.into, options.call_bytes):
                print(json.dumps([str(folder)]))
        else:
            for name in options.names:
                _join(options.folder, name, options.to)
    except ValueError as error:
        sys.exit(str(error))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.carry",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True)
    cutting = actions.add_parser("cut", help="cut files and folders into parts")
    cutting.add_argument("paths", type=Path, nargs="+")
    cutting.add_argument("--into", type=Path, required=True)
    cutting.add_argument("--part-bytes", type=int, help="by default what a call has room for beside the working tree")
    cutting.add_argument(
        "--without", type=int, default=0, help="bytes of the working tree that are moved away meanwhile"
    )
    cutting.add_argument("--whole", action="store_true", help="leave nothing out of a .gguf file")
    laying = actions.add_parser("lay", help="a folder for each call, in the order given")
    laying.add_argument("names", nargs="+")
    laying.add_argument("--folder", type=Path, required=True, help="what `cut` wrote, and whole files")
    laying.add_argument("--into", type=Path, required=True, help="made anew")
    laying.add_argument("--call-bytes", type=int, default=56_500_000, help="beside the working tree and tar's blocks")
    joining = actions.add_parser("join", help="put them together, bit for bit")
    joining.add_argument("names", nargs="+")
    joining.add_argument("--folder", type=Path, required=True)
    joining.add_argument("--to", type=Path, required=True, help="the folder to make them in")
    return parser.parse_args(arguments)


def _cut(options: argparse.Namespace) -> None:
    room = options.part_bytes or call_room(Path.cwd(), options.without)
    sizes: dict[Path, int] = {}
    for path in options.paths:
        if path.is_dir():
            with tempfile.TemporaryDirectory(dir=_made(options.into)) as folder:
                packed = _tar(path, Path(folder) / f"{path.name}.tar")
                plan = cut(packed, options.into, most_bytes=room)
        elif path.suffix == ".gguf" and not options.whole:
            from codemem.training.carry.gguf_hole import hole_and_patches

            holes, patches = hole_and_patches(path)
            plan = cut(path, options.into, most_bytes=room, holes=holes, patches=patches)
        else:
            plan = cut(path, options.into, most_bytes=room)
        sizes |= {options.into / part.name: part.bytes for part in plan.parts}
        print(f"{plan.name}: {len(plan.parts)} parts, {sum(p.bytes for p in plan.parts):,} bytes", file=sys.stderr)
    for call in calls(sizes, room):
        plans = {path.parent / f"{path.name.rpartition('.')[0]}.parts.json" for path in call}
        print(json.dumps([str(path) for path in (*call, *sorted(plans))]))


def calls(sizes: dict[Path, int], room: int) -> list[list[Path]]:
    """Parts by call: as few calls as largest-first packing gives, each within `room` bytes and half of CALL_PATHS (a
    plan travels beside each part)."""
    found: list[list[Path]] = []
    left: list[int] = []
    for path in sorted(sizes, key=lambda p: (-sizes[p], str(p))):
        for number, free in enumerate(left):
            if sizes[path] <= free and len(found[number]) < CALL_PATHS // 2:
                found[number].append(path)
                left[number] -= sizes[path]
                break
        else:
            found.append([path])
            left.append(room - sizes[path])
    return found


def lay(folder: Path, names: Sequence[str], into: Path, most_bytes: int) -> list[Path]:
    """Folders `01`, `02`, ... of links to what travels in each call, `into` made anew; a plan travels before its parts.
    Raises `ValueError` naming what is not there or fits into no call."""
    files: list[Path] = []
    for name in names:
        parts = sorted(folder.glob(f"{name}.[0-9][0-9]"))
        files += [plan_path(folder, name), *parts] if parts else [folder / name]
    for file in files:
        if not file.is_file() or file.stat().st_size > most_bytes:
            raise ValueError(f"{file} is not there, or larger than the {most_bytes:,} bytes of a call")
    if into.is_dir() and (other := sorted(p.name for p in into.iterdir() if not re.fullmatch(r"\d\d", p.name))):
        raise ValueError(f"{into} is made anew, and holds {other[0]}, which was not laid out here")
    shutil.rmtree(into, ignore_errors=True)
    made: list[Path] = []
    left = 0
    for file in files:
        if file.stat().st_size > left:
            made.append(_made(into / f"{len(made) + 1:02}"))
            left = most_bytes
        os.link(file, made[-1] / file.name)
        left -= file.stat().st_size
    return made


def call_room(tree: Path, without: int = 0) -> int:
    """Bytes that a call can carry beside the working tree at `tree` (tracked and untracked files that git does not
    ignore travel always). Raises `ValueError` if none are left."""
    listing = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "-z"], cwd=tree, capture_output=True, check=True
    ).stdout
    names = {name.decode("utf-8", "surrogateescape") for name in listing.split(b"\0") if name}
    travels = sum((tree / name).lstat().st_size for name in names if (tree / name).is_file())
    room = CALL_BYTES - MARGIN_BYTES - travels + without
    if room <= 0:
        raise ValueError(f"the working tree alone is {travels:,} bytes: a call takes {CALL_BYTES:,}")
    return room


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _tar(folder: Path, target: Path) -> Path:
    """The regular files of a folder, in order, without times and owners: the same bytes for the same files."""
    with tarfile.open(target, "w") as archive:
        for path in sorted(p for p in folder.rglob("*") if p.is_file()):
            info = tarfile.TarInfo(str(Path(folder.name) / path.relative_to(folder)))
            info.size = path.stat().st_size
            with path.open("rb") as source:
                archive.addfile(info, source)
    return target


def _join(folder: Path, name: str, to: Path) -> None:
    plan = read_plan(folder, name)
    made = join(folder, name, to / plan.name)
    if made.suffix == ".tar":
        with tarfile.open(made) as archive:
            # As the documentation of tarfile has it: Python 3.11.0 to 3.11.3 (Debian 12) have no filters.
            archive.extraction_filter = getattr(tarfile, "data_filter", lambda member, _: member)
            archive.extractall(to)  # noqa: S202 (our own, filtered above)
        made.unlink()


if __name__ == "__main__":
    main()
