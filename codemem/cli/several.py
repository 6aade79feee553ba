"""A command that torchrun started in several processes: the first runs it, the others work for it."""

import os
import sys
from collections.abc import Sequence


def run_together(arguments: Sequence[str]) -> int:
    """The exit code of this process's part."""
    from codemem import errors, workers
    from codemem.cli.app import explain, run
    from codemem.config import parallel_rank
    from codemem.model.errors import WorkerLost

    try:
        if parallel_rank() != 0:
            return workers.work()
        code = run(arguments)
        if code in (errors.EXIT_DONE, errors.EXIT_USAGE, errors.EXIT_NOTHING_INDEXED):
            workers.dismiss()
            return code
    except Exception as error:
        code = explain(error)
        if not isinstance(error, WorkerLost):
            return code
    # The processes are out of step: what is left of the group could only be waited for.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
