"""What can go wrong in an evaluation, in words for the person who started it."""


class EvaluationError(Exception):
    """Base of all errors that an evaluation reports in one line."""


class MissingBaselineError(EvaluationError):
    """An optional baseline is not installed."""

    def __init__(self, name: str, command: str) -> None:
        super().__init__(f"the baseline {name} is not installed: run `{command}`")


class MissingCheckoutError(EvaluationError):
    """A repository at a pinned revision was not found."""

    def __init__(self, repository: str, revision: str, place: str) -> None:
        super().__init__(
            f"{repository} at {revision[:12]} is not in {place}: check it out there as "
            f"{repository.replace('/', '+')}@{revision[:7]}, or name a folder of clones with --clones"
        )


class BadCasesError(EvaluationError):
    """A data file does not have the expected form."""
