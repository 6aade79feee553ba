"""Negatives that the present adapter takes for answers, and which questions lead back to their documents at all.

    python -m codemem.training.mine --base BASE --adapter FILE --data FOLDER [--part 0 --parts 1]

Every question of a course is ranked against all documents of its package, as `find` ranks them. Written beside the
course as `mined-PART.jsonl.zst`, which a run reads instead of the course's questions:

- `neg`: the best that are no answers. What comes within 0.95 of the answer's own score is left out, as it may answer
  too (positive-aware mining, arXiv:2407.15831);
- questions whose answer is not among the first hundred lead nowhere and are left out, and of those whose answer is
  first and far ahead a half.

Several GPUs take a part each: a part is whole packages, all of about the same size together.
"""

import argparse
import json
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from codemem.model.losses import chunk_scores_to_documents
from codemem.training.batching import no_negatives
from codemem.training.corpus import Corpus
from codemem.training.data.read import PAIRS, Writer, rows
from codemem.training.evaluate import DOCUMENTS_A_PASS, load_trained
from codemem.training.network import Network

NEGATIVES = 6
SURELY_WRONG = 0.95
"""Share of the answer's score that a negative stays under."""
LEADS_BACK = 100
"""Rank of the answer, within its package, that a question must reach."""
EASY_MARGIN = 0.15
"""Share of the answer's score by which the next document is behind, for a question to be easy."""
EASY_KEPT = 0.5
_CELLS = 60_000_000
"""Scores of token and chunk computed at a time."""


def parts_of(sizes: dict[int, int], parts: int) -> list[set[int]]:
    """Packages in `parts` shares of about equal size, the largest first; the same for the same sizes."""
    shares: list[set[int]] = [set() for _ in range(parts)]
    weights = [0] * parts
    for package in sorted(sizes, key=lambda p: (-sizes[p], p)):
        least = weights.index(min(weights))
        shares[least].add(package)
        weights[least] += sizes[package]
    return shares


def judge(scores: Tensor, positives: Sequence[int], excluded: Tensor) -> tuple[int, list[int], bool]:
    """(rank of the best positive, negatives best first, whether it is easy) from scores [D] of one question.

    `excluded` [D] marks what is no negative; positives are.
    """
    own = scores[list(positives)].max()
    others = scores.masked_fill(excluded, -torch.inf)
    rank = 1 + int((others > own).sum())
    wrong = others.masked_fill(others >= SURELY_WRONG * own, -torch.inf)
    best = torch.topk(wrong, min(NEGATIVES, len(wrong)))
    negatives = [int(i) for i, s in zip(best.indices.tolist(), best.values.tolist(), strict=True) if s > -torch.inf]
    ahead = own - others.max()
    return rank, negatives, rank == 1 and bool(ahead > EASY_MARGIN * own.abs())


class Mining:
    """Ranks questions against the documents of their package."""

    def __init__(self, network: Network, corpus: Corpus, *, document_tokens: int = 384) -> None:
        self.network, self.corpus, self.document_tokens = network, corpus, document_tokens
        self.layers = network.recipe.memory.ranking_layers

    def package(self, documents: list[int], queries: list[int]) -> Iterator[tuple[int, int, list[int], bool]]:
        """(question, rank, negatives, easy) of each question, in order."""
        for query, scores, positives, excluded in self.scores(documents, queries):
            rank, negatives, easy = judge(scores, positives, excluded)
            yield query, rank, [documents[i] for i in negatives], easy

    @torch.no_grad()
    def scores(self, documents: list[int], queries: list[int]) -> Iterator[tuple[int, Tensor, list[int], Tensor]]:
        """(question, scores [D], places of its positives, what is no negative [D]) of each that has a positive here."""
        keys, exists = self._encode(documents)
        column = {document: i for i, document in enumerate(documents)}
        excluded = torch.as_tensor(no_negatives(self.corpus, queries, documents)).to(self.network.device)
        together = max(1, _CELLS // max(1, exists.numel() * 40))
        for start in range(0, len(queries), together):
            some = queries[start : start + together]
            asked, routes = self.network.encode_questions(self.corpus.question_ids(some), self.layers)
            found = [chunk_scores_to_documents(asked[layer], routes, keys[layer], exists) for layer in self.layers]
            mean = torch.stack(found).mean(0)
            for row, query in enumerate(some):
                positives = [column[d] for d in self.corpus.positives[query] if d in column]
                if positives:
                    yield query, mean[row], positives, excluded[start + row]

    def _encode(self, documents: list[int]) -> tuple[dict[int, Tensor], Tensor]:
        """Routing keys by layer [D, C, W] and existing chunks [D, C]."""
        ids = self.corpus.document_ids(documents, self.document_tokens)
        passes = [
            self.network.encode_documents(ids[i : i + DOCUMENTS_A_PASS], self.layers)
            for i in range(0, len(ids), DOCUMENTS_A_PASS)
        ]
        widest = max(e.chunks.shape[1] for e in passes)
        pad = torch.nn.functional.pad
        rooms = [widest - e.chunks.shape[1] for e in passes]
        keys = {
            layer: torch.cat(
                [pad(e.layers[layer].route, (0, 0, 0, room)) for e, room in zip(passes, rooms, strict=True)]
            )
            for layer in self.layers
        }
        return keys, torch.cat([pad(e.chunks, (0, room)) for e, room in zip(passes, rooms, strict=True)])


def mine(mining: Mining, rows_of_pairs: list[dict[str, Any]], part: int, parts: int) -> Iterator[dict[str, Any]]:
    """The questions of one part that are worth asking again, with their negatives."""
    corpus = mining.corpus
    members: dict[int, list[int]] = defaultdict(list)
    for document, package in enumerate(corpus.packages.tolist()):
        members[package].append(document)
    asked: dict[int, list[int]] = defaultdict(list)
    for query, positives in enumerate(corpus.positives):
        asked[int(corpus.packages[positives[0]])].append(query)
    for package in sorted(parts_of({p: len(members[p]) for p in asked}, parts)[part]):
        for query, rank, negatives, easy in mining.package(members[package], asked[package]):
            row = rows_of_pairs[query]
            if rank > LEADS_BACK or (easy and zlib.crc32(row["q"].encode("utf-8", "replace")) > EASY_KEPT * 2**32):
                continue
            yield {**row, "neg": negatives, "rank": rank}


def main(arguments: Sequence[str] | None = None) -> None:
    """Mines one part; counts as a JSON object to stdout."""
    parser = argparse.ArgumentParser(
        prog="python -m codemem.training.mine",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    for name in ("--base", "--adapter", "--data"):
        add(name, type=Path, required=True)
    add("--part", type=int, default=0)
    add("--parts", type=int, default=1)
    add("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args(arguments)
    network, tokenizer = load_trained(options.base, options.adapter, device=torch.device(options.device))
    for old in options.data.glob("mined-*.jsonl.zst") if options.parts == 1 else ():
        old.unlink()
    pairs = list(rows(options.data / PAIRS))
    corpus = Corpus.load(options.data, tokenizer, mined=False)
    kept = {"asked": 0, "first": 0, "negatives": 0}
    with Writer(options.data / f"mined-{options.part}.jsonl.zst") as writer:
        for row in mine(Mining(network, corpus), pairs, options.part, options.parts):
            writer.write(row)
            kept["asked"] += 1
            kept["first"] += row["rank"] == 1
            kept["negatives"] += len(row["neg"])
    print(json.dumps(kept))


if __name__ == "__main__":
    main()
