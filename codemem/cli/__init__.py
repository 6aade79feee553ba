"""The command line: the composition root, where alone every other folder may be imported, when a command needs it."""

import sys


def main() -> None:
    """Entry point of the `codemem` script."""
    from codemem.cli import warm

    # First what must be quick: nothing is imported for it that it does not need.
    code = warm.answer(sys.argv[1:])
    if code is None:
        code = _run(sys.argv[1:])
    sys.exit(code)


def _run(arguments: list[str]) -> int:
    from codemem.cli import editor
    from codemem.config import parallel_rank

    if parallel_rank() is not None and arguments[:1] != ["bench"]:  # benchmarks run in all processes by themselves
        from codemem.cli.several import run_together

        return run_together(arguments)
    code = editor.answer(arguments)
    if code is None:
        from codemem.cli.app import run

        code = run(arguments)
    return code
