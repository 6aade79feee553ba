"""The errors that the model layer raises; the command line turns each into one line and an exit code."""


class ModelError(Exception):
    """Base of everything raised on purpose below `model/`. The message says what failed and what to do."""


class WeightsMissing(ModelError):
    """Weights are not on this machine and could not be fetched (exit code 4)."""


class WeightsCorrupt(ModelError):
    """A weights file does not have its registered sha256, shape or name (exit code 4)."""


class StoreError(ModelError):
    """The store cannot be opened or written: foreign format, no space, no permission."""


class EntryCorrupt(StoreError):
    """An entry's bytes do not match its checksum. The store has already dropped it; encode it again."""


class OutOfMemory(ModelError):
    """A bank or model does not fit the memory it was given."""


class WorkerLost(ModelError):
    """A process of a parallel run ended, hangs or failed. The message names it."""
