"""The errors that the command line shows as one line, each with its exit code."""

EXIT_DONE = 0
EXIT_FAILED = 1
EXIT_USAGE = 2
EXIT_NOTHING_INDEXED = 3
EXIT_WEIGHTS = 4
EXIT_INTERRUPTED = 130


class CodememError(Exception):
    """Something could not be done. The message says what failed and what to do about it."""

    exit_code = EXIT_FAILED


class ConfigurationError(CodememError, ValueError):
    """A configuration file or variable holds something that codemem does not know or accept."""

    exit_code = EXIT_USAGE


class UsageError(CodememError, ValueError):
    """Arguments that contradict each other or name what is not there."""

    exit_code = EXIT_USAGE


class RepositoryError(CodememError):
    """A folder cannot be used: not there, a bare clone, not readable, refused by git."""


class NotIndexedError(CodememError):
    """There is neither an outline nor a memory to answer from."""

    exit_code = EXIT_NOTHING_INDEXED


class WorkInterruptedError(CodememError):
    """The user stopped the work; what was done is kept."""

    exit_code = EXIT_INTERRUPTED
