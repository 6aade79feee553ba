"""What can go wrong with a whole tree. A single bad file is never an error: it is named in `skipped`."""


class IndexerError(Exception):
    """Base of the indexer's errors; its text is one line: what failed and what to do."""


class TreeNotFoundError(IndexerError, FileNotFoundError):
    """The path to index is missing or is not a folder."""


class RepositoryError(IndexerError):
    """Git is missing, or refuses or fails to read this repository."""


class BareRepositoryError(RepositoryError):
    """A bare repository has no working tree; a commit of it can still be indexed."""


class UntrustedRepositoryError(RepositoryError):
    """Git does not trust the repository because another user owns it (safe.directory)."""


class RevisionError(IndexerError):
    """The revision names no commit of this repository."""


class UnreadableFileError(IndexerError):
    """One file could not be read as it was listed; its text is the reason shown in `skipped`."""
