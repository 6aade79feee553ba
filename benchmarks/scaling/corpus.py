"""Documents of real code for the scale run, and parts of them small enough to be carried to another machine.

    python -m codemem.benchmarks.scaling.corpus --raw RAW --never-train-on LIST --training training/data/sources/*.txt

fetches the packages of `packages.txt` and cuts their files as `codemem index` does, a header and a text a row, into
`RAW/shards`. Of each package at most `--most` tokens are taken, files by the hash of their paths. What is kept depends
on the manifest and this number alone; a second run goes on where the first was stopped. `pack` makes parts of it.
"""

import argparse
import gzip
import hashlib
import json
import lzma
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from codemem.benchmarks.scaling.packages import (
    NAMES,
    PINS,
    Package,
    fetch,
    forbidden_names,
    listed,
    pin,
    refuse,
    source_files,
)

BYTES_A_TOKEN = 3.3
"""Of code, roughly: what is written is counted exactly where a model reads it."""
PART_BYTES = 64_000_000
"""Of text in a part; some 13 MB of it are left when it is compressed."""
_FILTERS = [{"id": lzma.FILTER_LZMA2, "preset": 6, "dict_size": PART_BYTES}]

Text = tuple[str, str]
"""Header and text of a document."""
Say = Callable[[str], None]


def digest(text: str) -> bytes:
    """Of the text without its spaces: a copy that was indented anew is a copy."""
    return hashlib.sha256("".join(text.split()).encode("utf-8", "surrogatepass")).digest()


def documents_of(folder: Path) -> Iterator[Text]:
    """Every document of a folder, as `codemem index` cuts it."""
    from codemem.indexer import SourceFile, index_tree, open_tree

    with open_tree(folder) as tree:
        for file in index_tree(tree):
            for document in file.documents if isinstance(file, SourceFile) else ():
                if document.text.strip():
                    yield document.header, document.text


def cut_package(package: Package, raw: Path, shards: Path, projects: frozenset[str], most_bytes: int) -> Path:
    """The package's documents, gzipped rows below `shards`; made once."""
    shard = shards / f"{package.ecosystem}-{package.folder}-{most_bytes}.jsonl.gz"
    if shard.exists():
        return shard
    from codemem.indexer import SourceFile, read_file  # not on the machine that only reads parts

    partial = shard.with_suffix(".part")
    with gzip.open(partial, "wt", encoding="utf-8", errors="surrogatepass", compresslevel=3) as out:
        for path, data in _chosen(package, raw, projects, most_bytes):
            file = read_file(f"{package.folder}/{path.partition('/')[2]}", data)
            for document in file.documents if isinstance(file, SourceFile) else ():
                if document.text.strip():
                    out.write(json.dumps((document.header, document.text)) + "\n")
    partial.rename(shard)
    return shard


def _chosen(package: Package, raw: Path, projects: frozenset[str], most_bytes: int) -> list[tuple[str, bytes]]:
    """Files by the hash of their paths until there are enough."""
    files = sorted(
        source_files(package, raw, projects),
        key=lambda file: hashlib.sha256(file[0].encode("utf-8", "replace")).digest(),
    )
    chosen, size = [], 0
    for path, data in files:
        if size + len(data) > most_bytes:
            break
        chosen.append((path, data))
        size += len(data)
    return chosen


def rows(path: Path) -> Iterator[Text]:
    """Of a shard or a part."""
    opened = lzma.open if path.suffix == ".xz" else gzip.open
    with opened(path, "rt", encoding="utf-8", errors="surrogatepass") as file:
        for line in file:
            header, text = json.loads(line)
            yield header, text


def write_parts(documents: Iterable[Text], out: Path, most_bytes: int, *, say: Say = lambda _: None) -> list[Path]:
    """Each text once, as long as the documents last or until `most_bytes` of text are written."""
    out.mkdir(parents=True, exist_ok=True)
    seen: set[bytes] = set()
    parts: list[Path] = []
    lines: list[bytes] = []
    size = total = 0

    def flush() -> None:
        nonlocal size
        if lines:
            part = out / f"part-{len(parts):02}.jsonl.xz"
            part.write_bytes(lzma.compress(b"".join(lines), filters=_FILTERS))
            parts.append(part)
            say(f"{part.name}: {size / 1e6:.0f} MB of text in {part.stat().st_size / 1e6:.1f} MB")
        lines.clear()
        size = 0

    for header, text in documents:
        key = digest(text)
        if key in seen:
            continue
        seen.add(key)
        lines.append((json.dumps((header, text)) + "\n").encode("ascii"))
        size += len(text)
        total += len(text)
        if size >= PART_BYTES:
            flush()
        if total >= most_bytes:
            break
    flush()
    return parts


def read_corpus(folder: Path) -> list[Text]:
    """All documents of the parts in a folder, in the order of their digests. Raises `ValueError` without parts."""
    parts = sorted(folder.glob("part-*.jsonl.xz"))
    if not parts:
        raise ValueError(f"no parts of a corpus in {folder}")
    found = [(digest(text), (header, text)) for part in parts for header, text in rows(part)]
    return [text for _, text in sorted(found)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Fetch, pin and cut."""
    parser = argparse.ArgumentParser(prog="python -m codemem.benchmarks.scaling.corpus", description=main.__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="folder of archives")
    parser.add_argument("--most", type=float, default=1.6e6, help="tokens of one package")
    parser.add_argument("--never-train-on", type=Path, required=True, help="the list of what evaluations use")
    parser.add_argument("--training", type=Path, nargs="*", default=(), help="lists of what the model was trained on")
    parser.add_argument("--names", type=Path, default=NAMES)
    parser.add_argument("--pins", type=Path, default=PINS, help="manifest; what it lacks is fetched newest and added")
    parser.add_argument("--offline", action="store_true", help="take the archives that are there")
    options = parser.parse_args(arguments)

    def say(words: str) -> None:
        print(words, file=sys.stderr, flush=True)

    packages = listed(options.names, options.pins)
    refuse(packages, forbidden_names(options.never_train_on, options.training))
    if not options.offline:
        for package, why in fetch(packages, options.raw).items():
            say(f"{package.name}: {why}")
    options.pins.write_text(_lines(pin(packages, options.raw)), encoding="utf-8")
    shards = options.raw / "shards"
    shards.mkdir(parents=True, exist_ok=True)
    projects = forbidden_names(options.never_train_on, ())
    for package in packages:
        shard = cut_package(package, options.raw, shards, projects, int(options.most * BYTES_A_TOKEN))
        say(f"{package.name}: {shard.stat().st_size / 1e6:.1f} MB")
    return 0


def _lines(pins: Sequence[dict[str, object]]) -> str:
    """JSON with one package a line."""
    return "[\n" + ",\n".join(json.dumps(row) for row in pins) + "\n]\n"


if __name__ == "__main__":
    sys.exit(main())
