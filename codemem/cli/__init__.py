"""The command line: the composition root, where alone every other folder may be imported, when a command needs it."""

import sys


def main() -> None:
    """Entry point of the `codemem` script."""
    from codemem.cli.app import run

    sys.exit(run(sys.argv[1:]))
