"""A real daemon over the fake engine: `fake_daemon.py [IDLE_SECONDS]`."""

import sys

from app.fake_engine import FakeEngine

from codemem.config import Settings
from codemem.daemon.address import address_of
from codemem.daemon.methods import Methods
from codemem.daemon.server import IDLE_SECONDS, serve

if __name__ == "__main__":
    settings = Settings.load()
    engine = FakeEngine(answers={"What retries?": "The function retry does."})
    idle = float(sys.argv[1]) if len(sys.argv) > 1 else IDLE_SECONDS
    served = serve(address_of(settings), lambda: Methods(settings, lambda _: engine), idle_seconds=idle)
    sys.exit(0 if served else 3)
