"""Hard negatives by rule: definitions of the same package that look like the answer and are not.

Texts that are near-identical to an answer become one document with it when packages are joined, and so never stay
negatives. False negatives that only a reader would notice are left to the filter of the trained model.
"""

import zlib
from collections import defaultdict

from .definition import Definition, question_of, split_name
from .questions import Question

NEGATIVES = 4
_BY_WORD = 3
_MAX_POSTING = 60


class Siblings:
    """Looks up definitions of one package by the words of their names and files."""

    def __init__(self, definitions: list[Definition]) -> None:
        self._definitions = definitions
        self._questions = [question_of(d.documentation) if d.documentation else None for d in definitions]
        self._posting: dict[str, list[int]] = defaultdict(list)
        self._files: dict[str, list[int]] = defaultdict(list)
        self._place: list[int] = []
        for index, definition in enumerate(definitions):
            self._place.append(len(self._files[definition.path]))
            self._files[definition.path].append(index)
            for word in {*split_name(definition.name), *split_name(definition.scope.rsplit(".", 1)[-1])}:
                self._posting[word].append(index)

    def negatives(self, question: Question) -> list[int]:
        """Return up to NEGATIVES indices: first by the rarer words of name and question, then from the same file."""
        first = question.positives[0]
        definition = self._definitions[first]
        own = set(split_name(definition.name))
        words = own | set(split_name(question.text))
        known = (word for word in words if len(self._posting.get(word, ())) > 1)
        rarest = sorted((word not in own, len(self._posting[word]), word) for word in known)
        chosen: list[int] = []
        start = zlib.crc32(question.text.encode())
        for _, count, word in rarest[:5]:
            if count > _MAX_POSTING and chosen:
                break
            posting = self._posting[word]
            for step in range(min(count, 3)):
                self._take(posting[(start + step) % count], question, chosen, _BY_WORD)
        around = self._files[definition.path]
        place = self._place[first]
        for step in (1, -1, 2, -2, 3, -3, 5, -5, 8, -8):
            if 0 <= place + step < len(around):
                self._take(around[place + step], question, chosen, NEGATIVES)
        return chosen

    def _take(self, index: int, question: Question, chosen: list[int], limit: int) -> None:
        if (
            len(chosen) < limit
            and index not in chosen
            and index not in question.positives
            and index not in question.same
            and not any(self._same(index, positive) for positive in question.positives)
        ):
            chosen.append(index)

    def _same(self, index: int, positive: int) -> bool:
        """Whether a candidate might itself answer: an overload, the same words, or around or inside the answer."""
        if self._questions[index] is not None and self._questions[index] == self._questions[positive]:
            return True
        one, other = self._definitions[index], self._definitions[positive]
        if one.path != other.path:
            return False
        if one.kind == "window" or other.kind == "window" or (one.name, one.scope) == (other.name, other.scope):
            return True
        inside, outside = (one, other) if len(one.scope) > len(other.scope) else (other, one)
        full = f"{outside.scope}.{outside.name}" if outside.scope else outside.name
        return outside.kind == "class" and f"{inside.scope}.".startswith(f"{full}.")
