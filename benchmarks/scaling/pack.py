"""What a scale run needs, in one folder: questions, near documents, and the corpus without what could answer too.

    python -m codemem.benchmarks.scaling.pack --raw RAW --repositories DIR --pool POOL --tokenizer DIR --out CORPUS

goes on from what `corpus` left in RAW. Questions and order are fixed by this: the same archives give the same folder.
"""

import argparse
import json
import lzma
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

from codemem.benchmarks.scaling.corpus import BYTES_A_TOKEN, Text, digest, rows, write_parts
from codemem.benchmarks.scaling.pool import NEAR, QUESTIONS
from codemem.benchmarks.scaling.questions import Rivals, make_questions, near_documents
from codemem.model.tokenizer import Tokenizer


def pack(
    shards: Sequence[Path],
    repositories: Path,
    out: Path,
    *,
    pool: Path | None,
    tokenizer: Tokenizer,
    most_bytes: int,
    worlds: int,
) -> None:
    """Writes the folder."""
    out.mkdir(parents=True, exist_ok=True)
    questions = make_questions(repositories, pool, lambda text: len(tokenizer.encode_text(text)), worlds=worlds)
    (out / QUESTIONS).write_text(questions.to_json(), encoding="utf-8")
    rivals = Rivals(questions)
    near = ordered(near_documents(repositories, ("dev", "held-out")), rivals)
    packed = "".join(json.dumps(row) + "\n" for row in near).encode("ascii")
    (out / NEAR).write_bytes(lzma.compress(packed))
    kinds = {kind: sum(q.kind == kind for q in questions.asked) for kind in {q.kind for q in questions.asked}}
    made = max(questions.worlds) + 1
    _say(f"{len(questions.documents)} documents answer {kinds} in {made} worlds; {len(near):,} are near")
    known = {digest(text) for _, text in near}
    kept = (
        row for shard in shards for row in rows(shard) if digest(row[1]) not in known and not rivals.could_answer(row)
    )
    parts = write_parts(kept, out, most_bytes, say=_say)
    _say(f"{len(parts)} parts, {sum(part.stat().st_size for part in parts) / 1e6:.0f} MB")


def ordered(documents: Iterable[Text], rivals: Rivals) -> list[Text]:
    """Each text once, in the order of their digests, without those that could answer."""
    found = {digest(text): (header, text) for header, text in documents if not rivals.could_answer((header, text))}
    return [found[key] for key in sorted(found)]


def _say(words: str) -> None:
    print(words, file=sys.stderr, flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Fix questions and order."""
    parser = argparse.ArgumentParser(prog="python -m codemem.benchmarks.scaling.pack", description=main.__doc__)
    parser.add_argument("--raw", type=Path, required=True, help="where `corpus` left its shards")
    parser.add_argument("--repositories", type=Path, required=True, help="packages of facts and hops")
    parser.add_argument("--pool", type=Path, help="folder of codemem.evals.functions_pool")
    parser.add_argument("--tokenizer", type=Path, required=True, help="folder with the default model's tokenizer.json")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokens", type=float, default=110e6, help="of text, roughly")
    parser.add_argument("--worlds", type=int, default=8)
    options = parser.parse_args(arguments)
    shards = sorted((options.raw / "shards").glob("*.jsonl.gz"))
    tokenizer = Tokenizer.from_folder(options.tokenizer)
    pack(
        shards,
        options.repositories,
        options.out,
        pool=options.pool,
        tokenizer=tokenizer,
        most_bytes=int(options.tokens * BYTES_A_TOKEN),
        worlds=options.worlds,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
