"""Explanations that begin with the statement that they rest on.

What a model explains freely it partly makes up, the more the longer it is. A statement that it has copied from what it
reads is true, says where to look, and is what the rest then follows from (decision 0036). So the explanations that a
larger model wrote (training/explain.py, training/dialogues.py) are cut to their first sentences, behind the statement
of their source that has most in common with them; what people wrote (training/remarks.py) and what was asked about a
statement (training/pointed.py) know their line.
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from codemem.model.evidence import words
from codemem.model.quotes import OPENING, can_be_quoted
from codemem.model.statements import COMMENT, statements
from codemem.training.corpus import Corpus
from codemem.training.definition_names import definition_name

KINDS = frozenset(("explain", "dialogue", "remark", "statement"))
SENTENCES = 2
SHARED = 2
"""Words that a statement has in common with an explanation, at least."""
_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z`])")


def quoted_answers(corpus: Corpus) -> list[dict[str, Any]]:
    """The answer records of a corpus, its explanations as they are learnt."""

    def learnt(record: dict[str, Any]) -> dict[str, Any]:
        if record["kind"] not in KINDS:
            return record
        document = record["gold"][0]
        return quoting(record, corpus.headers[document], corpus.texts[document])

    return list(map(learnt, corpus.answers))


def quoting(record: Mapping[str, Any], header: str, text: str) -> dict[str, Any]:
    """The record of an explanation of one document with its answer as it is learnt."""
    said = " ".join(_SENTENCE.split(record["answer"])[:SENTENCES])
    lines, begun = [line.strip() for line in text.split("\n")], statements(text)
    at = lines.index(record["evidence"]) if record.get("evidence") in lines else resting_on(begun, said)
    if at is None or not can_be_quoted(begun[at]):
        return {**record, "answer": said}
    name = definition_name(header, text)
    place = f" in `{name}`" if name else ""
    return {**record, "answer": f"{OPENING}{begun[at]}`{place}. {said}", "evidence": lines[at]}


def resting_on(lines: Sequence[str], said: str) -> int | None:
    """Which statement of a text, by the line that it begins, has most in common with what is said of it, by words that
    few of them hold; None where none has enough, or it could not be quoted in a line of Markdown."""
    wanted = words(said)
    held = [words(line) & wanted for line in lines]
    weight = _rarity(held)
    candidates = [at for at, line in enumerate(lines) if len(held[at]) >= SHARED and _is_code(line)]
    # Of a definition's own line only its name is mostly said: another one tells more, if there is one.
    later = [at for at in candidates if at != candidates[0]] if candidates and candidates[0] == 0 else candidates
    return max(later or candidates, key=lambda at: (sum(weight[word] for word in held[at]), -at), default=None)


def _rarity(held: Sequence[set[str]]) -> dict[str, float]:
    counts = Counter(word for found in held for word in found)
    return {word: math.log(1 + len(held) / count) for word, count in counts.items()}


def _is_code(line: str) -> bool:
    return can_be_quoted(line) and not line.startswith(COMMENT)
