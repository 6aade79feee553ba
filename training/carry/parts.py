"""A file in parts: each with its checksum, joined only if every part and the whole are what was cut.

A lent machine takes so many bytes a call, and gives so many back a file. `cut` leaves out byte ranges that nobody reads
(holes) and may overwrite a few bytes (patches); `join` makes a file of the same length, zeros where a hole is.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Part:
    """One file that travels."""

    name: str
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Plan:
    """What `join` needs besides the parts."""

    name: str
    """Of the file that was cut."""
    bytes: int
    """Of the file that is made, holes included."""
    sha256: str
    """Of the file that is made; its own if nothing was left out or patched."""
    holes: tuple[tuple[int, int], ...]
    """Half-open byte ranges left out, ascending."""
    parts: tuple[Part, ...]


def cut(
    file: Path,
    folder: Path,
    *,
    most_bytes: int,
    name: str | None = None,
    holes: Sequence[tuple[int, int]] = (),
    patches: Mapping[int, bytes] | None = None,
) -> Plan:
    """Writes `NAME.00`, `NAME.01`, ... of at most `most_bytes` and `NAME.parts.json` into `folder`; an older cut of
    the same name goes."""
    if most_bytes < 1:
        raise ValueError("a part holds at least a byte")
    name = name or file.name
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.glob(f"{name}.[0-9][0-9]"):
        old.unlink()
    parts: list[Part] = []
    rest = bytearray()
    for piece in _kept(file, holes, patches or {}):
        rest += piece
        while len(rest) >= most_bytes:
            parts.append(_write(folder, name, len(parts), bytes(rest[:most_bytes])))
            del rest[:most_bytes]
    if rest or not parts:
        parts.append(_write(folder, name, len(parts), bytes(rest)))
    if len(parts) > 100:
        raise ValueError(f"{file.name} would be cut into {len(parts)} parts, 100 can be named: take larger ones")
    size = file.stat().st_size
    digest = _sha256_of(_with_holes(folder, parts, holes))
    plan = Plan(name, size, digest, tuple((int(a), int(b)) for a, b in holes), tuple(parts))
    plan_path(folder, name).write_text(json.dumps(asdict(plan), indent=1) + "\n", encoding="utf-8")
    return plan


def plan_path(folder: Path, name: str) -> Path:
    """Where `cut` says what it did."""
    return folder / f"{name}.parts.json"


def read_plan(folder: Path, name: str) -> Plan:
    """Reads what `cut` wrote. Raises `ValueError` if it is not there or no plan."""
    try:
        raw: dict[str, Any] = json.loads(plan_path(folder, name).read_text(encoding="utf-8"))
        parts = tuple(Part(**part) for part in raw.pop("parts"))
        holes = tuple((int(a), int(b)) for a, b in raw.pop("holes"))
        return Plan(holes=holes, parts=parts, **raw)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{plan_path(folder, name)} is no plan of parts: {error}") from error


def missing(folder: Path, plan: Plan) -> list[str]:
    """Names of parts that are not there, or not of the right length."""
    return [
        part.name
        for part in plan.parts
        if not (folder / part.name).is_file() or (folder / part.name).stat().st_size != part.bytes
    ]


def join(folder: Path, name: str, target: Path) -> Path:
    """Puts a file together; it appears whole or not at all. Raises `ValueError` naming what is missing or wrong."""
    plan = read_plan(folder, name)
    if lacking := missing(folder, plan):
        raise ValueError(f"{name} lacks {', '.join(lacking)}")
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(target.name + ".part")
    digest = hashlib.sha256()
    with partial.open("wb") as out:
        for piece in _with_holes(folder, plan.parts, plan.holes):
            digest.update(piece)
            out.write(piece)
    if digest.hexdigest() != plan.sha256:
        partial.unlink()
        wrong = [part.name for part in plan.parts if _sha256_of([(folder / part.name).read_bytes()]) != part.sha256]
        raise ValueError(f"{name} is not what was cut: {', '.join(wrong) or 'its plan'} differ")
    partial.replace(target)
    return target


def _write(folder: Path, name: str, number: int, data: bytes) -> Part:
    part = Part(f"{name}.{number:02}", len(data), hashlib.sha256(data).hexdigest())
    (folder / part.name).write_bytes(data)
    return part


def _kept(file: Path, holes: Sequence[tuple[int, int]], patches: Mapping[int, bytes]) -> Iterator[bytes]:
    """The file's bytes outside the holes, patched."""
    ends = [0, *(end for _, end in holes)]
    starts = [*(start for start, _ in holes), file.stat().st_size]
    with file.open("rb") as source:
        for begin, stop in zip(ends, starts, strict=True):
            if begin > stop:
                raise ValueError("holes must ascend and not overlap")
            source.seek(begin)
            at = begin
            while at < stop:
                piece = bytearray(source.read(min(_BLOCK, stop - at)))
                for offset, new in patches.items():
                    for i, byte in enumerate(new):
                        if at <= offset + i < at + len(piece):
                            piece[offset + i - at] = byte
                at += len(piece)
                yield bytes(piece)


def _with_holes(folder: Path, parts: Sequence[Part], holes: Sequence[tuple[int, int]]) -> Iterator[bytes]:
    """The bytes of the file that is made."""
    at, left = 0, list(holes)
    for part in parts:
        with (folder / part.name).open("rb") as source:
            while True:
                room = left[0][0] - at if left else _BLOCK
                if left and room == 0:
                    yield from _zeros(left[0][1] - at)
                    at = left.pop(0)[1]
                    continue
                piece = source.read(min(_BLOCK, room))
                if not piece:
                    break
                at += len(piece)
                yield piece
    for start, end in left:
        assert start == at, "a hole must begin where the bytes before it end"
        yield from _zeros(end - start)
        at = end


def _zeros(count: int) -> Iterator[bytes]:
    for start in range(0, count, _BLOCK):
        yield bytes(min(_BLOCK, count - start))


def _sha256_of(pieces: Iterator[bytes] | list[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
