"""The command line: the composition root, where alone every other folder may be imported, when a command needs it."""

import sys


def main() -> None:
    """Entry point of the `codemem` script."""
    from codemem.cli import editor, warm
    from codemem.config import parallel_rank

    if parallel_rank() is not None and sys.argv[1:2] != ["bench"]:  # benchmarks run in all processes by themselves
        from codemem.cli.several import run_together

        sys.exit(run_together(sys.argv[1:]))
    code = editor.answer(sys.argv[1:])
    if code is None:
        code = warm.answer(sys.argv[1:])
    if code is None:
        from codemem.cli.app import run

        code = run(sys.argv[1:])
    sys.exit(code)
