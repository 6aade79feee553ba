"""Join the packages' shards into documents, pairs and the split, without duplicates and without evaluation code."""

import random
import re
import zlib
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .answer_shards import AnswerShard
from .definition import MIN_CHARACTERS, Definition
from .definition_answers import kept_answers
from .extract import read_shard
from .fingerprint import Fingerprint, SeenTexts, fingerprint
from .prepare import Prepared, prepared
from .questions import MAX_POSITIVES
from .read import DEV_PAIRS, DEV_QA, DOCUMENTS, PAIRS, QA, Writer

# Whole packages kept out of training, for validation: six of Python, the rest of other languages.
DEV_PACKAGES = frozenset(
    re.findall(
        r"\S+",
        """
        pypi:marshmallow pypi:dnspython pypi:luigi pypi:pint pypi:websockets pypi:imageio npm:postcss npm:hls.js
        npm:mocha debian-binary:golang-github-gorilla-websocket-dev debian-binary:librust-petgraph-dev
        debian-source:ruby-mail debian-source:jsoup debian-source:php-twig debian-source:lua-http
        debian-source:haskell-criterion debian-source:jansson debian-source:leveldb debian-source:cecil
        """,
    )
)


_ABOUT_HEADERS = frozenset(("scoped name", "file and name"))


@dataclass(slots=True)
class Row:
    """A pair in the making."""

    positives: list[int]
    negatives: list[int]
    kind: str
    language: str
    same: list[int] = field(default_factory=list)
    """Neither: other documents of a file that is asked for."""


@dataclass(slots=True)
class Corpus:
    """Everything gathered so far; indices of documents are positions in `documents`."""

    never: SeenTexts
    held_out: frozenset[str] = field(default_factory=lambda: DEV_PACKAGES)
    """Ids of the packages for validation."""
    documents: list[tuple[str, str, str, str]] = field(default_factory=list)
    """(header, text, language, package)."""
    pairs: dict[tuple[bool, str], Row] = field(default_factory=dict)
    answers: list[tuple[bool, dict[str, Any]]] = field(default_factory=list)
    """(held out, record with corpus indices)."""
    dropped: Counter[str] = field(default_factory=Counter)
    _places: dict[tuple[bytes, str], int] = field(default_factory=dict)
    _exact: dict[bytes, int] = field(default_factory=dict)
    _sketches: dict[bytes, int] = field(default_factory=dict)
    _overfull: set[tuple[bool, str]] = field(default_factory=set)

    def add_package(self, package: str, definitions: list[Definition], prepared: Prepared) -> list[int | None]:
        """Take in one package; return the corpus index of each definition, None where it was dropped."""
        dev = package in self.held_out
        places = [
            self._place(package, definition, print_)
            for definition, print_ in zip(definitions, prepared.prints, strict=True)
        ]
        for question in prepared.questions:
            headers = question.kind in _ABOUT_HEADERS
            positives = [
                index
                for place in question.positives
                if (index := places[place]) is not None
                and not (headers and self.documents[index][0] != definitions[place].header)
            ]
            if not positives or any(self._held_out(index) != dev for index in positives):
                continue
            key = (dev, question.text)
            if key in self._overfull:
                continue
            row = self.pairs.get(key)
            if row is None:
                language = definitions[question.positives[0]].language
                row = self.pairs[key] = Row([], [], question.kind, language)
                found = (places[place] for place in question.negatives)
                row.negatives.extend(index for index in found if index is not None and self._held_out(index) == dev)
            row.positives = list(dict.fromkeys([*row.positives, *positives]))
            beside = (index for place in question.same if (index := places[place]) is not None)
            row.same = [i for i in dict.fromkeys([*row.same, *beside]) if i not in row.positives]
            texts = {self.documents[index][1] for index in row.positives}
            others = set(row.same)
            row.negatives = [
                i for i in dict.fromkeys(row.negatives) if i not in others and self.documents[i][1] not in texts
            ]
            if len(row.positives) > MAX_POSITIVES:  # "Initialise self." asks for nothing in particular
                del self.pairs[key]
                self._overfull.add(key)
        return places

    def add_answers(self, package: str, shard: AnswerShard, language: str) -> None:
        """Take in a package's records for answer training; a record whose evidence got lost is dropped."""
        dev = package in self.held_out
        places = [self._place_text(package, p.header, p.text, language, fingerprint(p.text)) for p in shard.passages]
        for record in shard.records:
            gold = [places[number] for number in record["gold"]]
            kept = [index for index in gold if index is not None]
            others = [places[number] for number in record["distractors"]]
            distractors = [index for index in dict.fromkeys(others) if index is not None and index not in kept]
            evidence = record["evidence"]
            if len(kept) < len(gold) or len(distractors) < 2:
                continue
            if any(self._held_out(index) != dev for index in (*kept, *distractors)):
                continue
            # A copy in another package has another path, which the answer would misstate.
            moved = any(
                self.documents[i][0] != shard.passages[n].header for i, n in zip(kept, record["gold"], strict=True)
            )
            if moved or (kept and evidence not in self.documents[kept[-1]][1]):
                self.dropped["evidence in another copy"] += 1
                continue
            if evidence:
                distractors = [index for index in distractors if evidence not in self.documents[index][1]]
            row = {**record, "gold": kept, "distractors": distractors, "language": language}
            self.answers.append((dev, row))

    def _held_out(self, index: int) -> bool:
        """Whether a document belongs to a package held out, as a copy of its code in another package does."""
        return self.documents[index][3] in self.held_out

    def _place(self, package: str, definition: Definition, print_: Fingerprint) -> int | None:
        return self._place_text(
            package, definition.header, definition.text, definition.language, print_, name=definition.name
        )

    def _place_text(
        self, package: str, header: str, text: str, language: str, print_: Fingerprint, *, name: str = ""
    ) -> int | None:
        """Return the index of a text, a new one if neither it nor a near-duplicate of the same name is known."""
        if len(text) < MIN_CHARACTERS:
            return None
        if self.never.resembles(print_):
            self.dropped["evaluation code"] += 1
            return None
        here = (print_.exact, header)
        if here in self._places:
            return self._places[here]
        # Functions that differ in name and a word or two answer different questions: both stay.
        sketch = print_.sketch + name.encode("utf-8", "replace") if print_.sketch is not None and name else None
        known = self._exact.get(print_.exact)
        if known is None and sketch is not None:
            known = self._sketches.get(sketch)
        # Within a package a copy under another header is a place of its own; another package's copy is not.
        if known is not None and self.documents[known][3] != package:
            self.dropped["duplicate"] += 1
            return known
        index = len(self.documents)
        self.documents.append((header, text, language, package))
        self._places[here] = index
        self._exact.setdefault(print_.exact, index)
        if sketch is not None:
            self._sketches.setdefault(sketch, index)
        return index


def gather(shards: Iterable[Path], never: SeenTexts, raw: Path) -> Corpus:
    """Read shards (of the downloads in `raw`) into a corpus, those held out for validation first, so that no training
    text equals theirs."""
    corpus = Corpus(never)
    for shard in sorted(shards, key=lambda path: (_id(path) not in corpus.held_out, str(path))):
        head, definitions = read_shard(shard)
        if not head.kept:
            continue
        corpus.add_package(head.id, definitions, prepared(shard, definitions))
        if shard.parent.name != "pypi":  # Python's answers come from its syntax trees
            for language, answers in kept_answers(shard, head, definitions, raw).items():
                corpus.add_answers(head.id, answers, language)
    return corpus


def _id(shard: Path) -> str:
    return f"{shard.parent.name}:{shard.name.removesuffix('.jsonl.zst').replace('__', '/')}"


def keep_share(corpus: Corpus, pairs: int) -> None:
    """Keep about this many training pairs, chosen by hash, in every kind and language alike."""
    training = [key for key in corpus.pairs if not key[0]]
    bound = 2**32 * pairs // max(1, len(training))
    for key in training:
        if zlib.crc32(key[1].encode("utf-8", "replace")) >= bound:
            del corpus.pairs[key]


def write(corpus: Corpus, out: Path, seed: int) -> dict[str, int]:
    """Write documents, pairs and answer records, shuffled by `seed`, and return counts.

    Documents that nothing refers to are left out, except those of the packages held out.
    """
    out.mkdir(parents=True, exist_ok=True)
    shuffler = random.Random(seed)  # noqa: S311 (an order, not a secret)
    used = {index for row in corpus.pairs.values() for index in (*row.positives, *row.negatives)}
    used |= {index for _, row in corpus.answers for index in (*row["gold"], *row["distractors"])}
    used |= {index for index, document in enumerate(corpus.documents) if document[3] in corpus.held_out}
    order = sorted(used)
    shuffler.shuffle(order)
    renumbered = {old: new for new, old in enumerate(order)}
    counts: dict[str, int] = defaultdict(int)
    with Writer(out / DOCUMENTS) as documents:
        for old in order:
            header, text, language, package = corpus.documents[old]
            documents.write({"header": header, "text": text, "language": language, "package": package})
            counts[f"documents {language}"] += 1
    keys = sorted(corpus.pairs)
    shuffler.shuffle(keys)
    with Writer(out / PAIRS) as train, Writer(out / DEV_PAIRS) as held_out:
        for dev, text in keys:
            row = corpus.pairs[dev, text]
            positives = [renumbered[index] for index in row.positives]
            negatives = [renumbered[index] for index in row.negatives]
            line = {"q": text, "pos": positives, "neg": negatives, "kind": row.kind, "language": row.language}
            if same := [renumbered[index] for index in row.same if index in renumbered]:
                line["same"] = same
            (held_out if dev else train).write(line)
            counts[f"{'dev ' if dev else ''}pairs {row.language} {row.kind}"] += 1
    answers = sorted(corpus.answers, key=lambda item: (item[1]["question"], item[1]["answer"], item[1]["gold"]))
    shuffler.shuffle(answers)
    with Writer(out / QA) as train, Writer(out / DEV_QA) as held_out:
        for dev, record in answers:
            numbers = {name: [renumbered[index] for index in record[name]] for name in ("gold", "distractors")}
            (held_out if dev else train).write({**record, **numbers})
            counts[f"{'dev ' if dev else ''}qa {record['language']} {record['kind']}"] += 1
    return dict(sorted(counts.items()))
