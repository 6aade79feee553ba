"""Read source files and licences out of package archives, in memory and without running anything."""

import io
import lzma
import re
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import zstandard

MAX_FILE_BYTES = 400_000

PERMISSIVE = re.compile(
    r"\b(MIT|Expat|BSD-?\d?|0BSD|Apache|ISC|PSF|Python Software Foundation|Unlicense|Zlib|BSL-1|Boost|CC0|NCSA|"
    r"public.domain|Public Domain|PostgreSQL|HPND)\b",
    re.IGNORECASE,
)
_RESTRICTED = re.compile(r"\b(A?GPL|LGPL|GNU|MPL|Mozilla|EPL|Eclipse|EUPL|CDDL|SSPL|BUSL|Proprietary)", re.IGNORECASE)
_RESTRICTED_TEXT = re.compile(r"GNU (Lesser |Library |Affero )?General Public|Mozilla Public|\b[AL]?GPL", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Member:
    """One file of an archive; `path` as a repository would have it."""

    path: str
    data: bytes


def is_permissive(licence: str) -> bool:
    """Judge a licence expression or classifier; alternatives joined by OR need one permissive part."""
    parts = re.split(r"\s+or\s+|\s*\|\s*|/", licence, flags=re.IGNORECASE)
    return any(PERMISSIVE.search(part) and not _RESTRICTED.search(part) for part in parts)


def has_restricted_notice(text: str) -> bool:
    """Whether a file's own head names a copyleft licence, whatever its package says."""
    return bool(_RESTRICTED_TEXT.search(text[:3000]))


def members(archive: Path, wanted: re.Pattern[str]) -> Iterator[Member]:
    """Yield the regular files whose path matches `wanted`, smallest first paths as stored.

    Raises `tarfile.TarError`, `zipfile.BadZipFile` or `ValueError` for a broken archive.
    """
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for info in wheel.infolist():
                if wanted.search(info.filename) and info.file_size <= MAX_FILE_BYTES:
                    yield Member(info.filename, wheel.read(info))
        return
    if archive.suffix == ".deb":
        yield from _tar_members(_deb_data(archive), wanted)
        return
    with archive.open("rb") as stream:
        yield from _tar_members(stream, wanted)


def _tar_members(stream: io.BufferedIOBase | io.BufferedReader, wanted: re.Pattern[str]) -> Iterator[Member]:
    with tarfile.open(fileobj=stream, mode="r:*") as tar:
        for info in tar:
            if info.isreg() and info.size <= MAX_FILE_BYTES and wanted.search(info.name):
                extracted = tar.extractfile(info)
                assert extracted is not None
                yield Member(info.name.removeprefix("./"), extracted.read())


def _deb_data(archive: Path) -> io.BytesIO:
    """Return the decompressed data.tar of a Debian package (an `ar` archive)."""
    data = archive.read_bytes()
    position = 8
    while position + 60 <= len(data):
        name = data[position : position + 16].decode("ascii").strip().rstrip("/")
        size = int(data[position + 48 : position + 58])
        body = data[position + 60 : position + 60 + size]
        if name.startswith("data.tar"):
            if name.endswith(".zst"):
                return io.BytesIO(zstandard.ZstdDecompressor().decompressobj().decompress(body))
            return io.BytesIO(lzma.decompress(body) if name.endswith(".xz") else body)
        position += 60 + size + size % 2
    raise ValueError(f"{archive.name}: no data.tar")


def wheel_licence(archive: Path) -> str:
    """Return the licence a wheel's metadata names: expression, classifiers, then the free field."""
    with zipfile.ZipFile(archive) as wheel:
        name = next(n for n in wheel.namelist() if n.endswith(".dist-info/METADATA"))
        head = wheel.read(name).decode("utf-8", "replace").split("\n\n", 1)[0]
    if found := re.search(r"^License-Expression: (.+)$", head, re.MULTILINE):
        return found[1].strip()
    classifiers = re.findall(r"^Classifier: License :: (?:OSI Approved :: )?(.+?)\r?$", head, re.MULTILINE)
    if classifiers and classifiers != ["OSI Approved"]:
        return " AND ".join(sorted(classifiers))
    found = re.search(r"^License: (.+)$", head, re.MULTILINE)
    return found[1].strip()[:80] if found else ""


def npm_licence(archive: Path) -> str:
    """Return the licence named by package.json."""
    for member in members(archive, re.compile(r"^package/package\.json$")):
        text = member.data.decode("utf-8", "replace")
        found = re.search(r'"licen[sc]e"\s*:\s*(?:\{[^}]*"type"\s*:\s*)?"([^"]+)"', text)
        return found[1].strip("()") if found else ""
    return ""


_TEXTS = (
    ("MIT", "Permission is hereby granted, free of charge"),
    ("Apache-2.0", "Apache License"),
    ("BSD", "Redistribution and use in source and binary forms"),
    ("ISC", "Permission to use, copy, modify, and"),
)


def debian_licence(copyright_text: str) -> str:
    """Return the licence that debian/copyright gives for upstream's files; '' if that cannot be told.

    `Files: *` decides where it is given. Otherwise every paragraph but that of debian/* must be permissive, and in a
    file that is not machine-readable the text of one permissive licence must stand, with no word of another kind.
    """
    named: list[str] = []
    for paragraph in re.split(r"\n\s*\n", copyright_text):
        files = re.search(r"^Files:\s*(.+)$", paragraph, re.MULTILINE)
        licence = re.search(r"^Licen[sc]e:\s*(.+)$", paragraph, re.MULTILINE)
        if files is None or licence is None:
            continue
        if files[1].strip().startswith("*"):
            return licence[1].strip()[:80]
        if not files[1].startswith("debian/"):
            named.append(licence[1].strip()[:40])
    if named:
        return " AND ".join(sorted(set(named))) if all(map(is_permissive, named)) else ""
    if _RESTRICTED_TEXT.search(copyright_text):
        return ""
    return next((name for name, text in _TEXTS if text in re.sub(r"\s+", " ", copyright_text)), "")


def licence_of(ecosystem: str, paths: list[Path]) -> str:
    """Return the licence of a package from its archives; '' if none is found."""
    if not paths:
        return ""
    if ecosystem == "pypi":
        return wheel_licence(paths[0])
    if ecosystem == "npm":
        return npm_licence(paths[0])
    wanted = re.compile(r"(^|/)debian/copyright$|usr/share/doc/[^/]+/copyright$")
    for path in paths:
        if path.suffix != ".deb" and ".debian." not in path.name:
            continue
        with suppress(tarfile.TarError):
            for member in members(path, wanted):
                return debian_licence(member.data.decode("utf-8", "replace"))
    for path in paths:  # packaging could not be had: upstream's own file
        for member in members(path, re.compile(r"^[^/]+/(?:MIT-)?(?:LICEN[CS]E|COPYING)[^/]*$", re.IGNORECASE)):
            return debian_licence(member.data.decode("utf-8", "replace"))
    return ""
