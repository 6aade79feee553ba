"""The daemon that the agents of a test share."""

import json
import os
import signal
import subprocess
import sys
from typing import Any


def daemon_of(environment: dict[str, str]) -> Any:
    """What it says of itself; None if none runs."""
    command = [sys.executable, "-m", "codemem", "serve", "status", "--json"]
    done = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)["daemon"]


def end_daemon(environment: dict[str, str]) -> None:
    """At once, whatever it does: one that loads a model for ever does not end when it is asked."""
    if daemon := daemon_of(environment):
        os.kill(daemon["pid"], signal.SIGKILL)
