"""A real daemon over the fake engine: `fake_daemon.py [IDLE_SECONDS [PROTOCOL]]`."""

import sys
import time
from collections.abc import Iterator
from typing import Any

from app.fake_engine import FakeEngine

from codemem.config import Settings
from codemem.daemon import address
from codemem.daemon.address import address_of
from codemem.daemon.methods import Methods
from codemem.daemon.server import IDLE_SECONDS, serve
from codemem.model.events import AnswerEvent, TextPiece

ENDLESS = "What goes on and on?"


class Talkative(FakeEngine):
    """Never ends an answer to ENDLESS."""

    def answer(self, question: str, *arguments: Any, **options: Any) -> Iterator[AnswerEvent]:
        while question == ENDLESS:
            time.sleep(0.01)
            yield TextPiece("and so on ")
        yield from super().answer(question, *arguments, **options)


if __name__ == "__main__":
    settings = Settings.load()
    engine = Talkative(answers={"What retries?": "The function retry does."})
    idle = float(sys.argv[1]) if len(sys.argv) > 1 else IDLE_SECONDS
    if len(sys.argv) > 2:  # as a release with another protocol is
        address.PROTOCOL = int(sys.argv[2])
    served = serve(address_of(settings), lambda: Methods(settings, lambda _: engine), idle_seconds=idle)
    sys.exit(0 if served else 3)
