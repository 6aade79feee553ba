"""A real daemon over an engine that routes at several layers in two rounds, as real ones do."""

import time
from collections.abc import Callable, Iterator
from typing import Any

from app.fake_engine import FakeEngine
from daemon.fake_daemon import ENDLESS

from codemem.config import Settings
from codemem.daemon.address import address_of
from codemem.daemon.methods import Methods
from codemem.daemon.server import serve
from codemem.model.events import Answer, AnswerEvent, LayerChoice, Read, Round, Source, TextPiece

QUESTION = "What retries?"
ANSWER = "The function `retry` does."
LAYERS = (9, 13, 17)


class Layered(FakeEngine):
    """Knows QUESTION alone, and never ends an answer to ENDLESS."""

    def answer(self, question: str, bank: Any, read: Callable[[int], Source], **options: Any) -> Iterator[AnswerEvent]:
        while question == ENDLESS:
            time.sleep(0.01)
            yield TextPiece("and so on ")
        ranked = (-self.rank(question, bank).scores).argsort(kind="stable").tolist()
        for named in (ranked[:1], ranked[1:2]):
            yield Round([_choice(layer, ranked) for layer in LAYERS], named, True)
        span = Read(ranked[0], 0, len(read(ranked[0]).text.encode()))
        yield span
        known = question == QUESTION
        if known:
            yield from map(TextPiece, ANSWER.partition("function "))
        yield Answer(ANSWER if known else "", known, [span] if known else [], [span], 1.5, 20.0, 4, 10.0)


def _choice(layer: int, ranked: list[int]) -> LayerChoice:
    """Every layer has another favourite."""
    turned = ranked[layer % 3 :] + ranked[: layer % 3]
    return LayerChoice(layer, turned, [1.0 - 0.2 * place for place in range(len(turned))])


if __name__ == "__main__":
    settings = Settings.load()
    engine = Layered()
    serve(address_of(settings), lambda: Methods(settings, lambda _: engine))
