"""What can go wrong, in the user's words. Each message is one line: what, which file, what to try."""


class FermediaError(Exception):
    """Base class of everything fermedia raises on purpose."""


class UsageError(FermediaError):
    """The call itself cannot be met (exit status 2)."""


class MediaError(FermediaError):
    """A file that is not, or not wholly, readable as video or picture.

    ``stage`` is what was being tried: ``open``, ``decode``, ``write``.
    """

    def __init__(self, message: str, stage: str = "open") -> None:
        super().__init__(message)
        self.stage = stage


class OutputError(FermediaError):
    """The folder of the results cannot be written, or not any more: no item's fault, so the run ends."""


class DataError(FermediaError):
    """A data set that is not as the format says."""


class ModelError(FermediaError):
    """A model folder that is missing, incomplete or damaged."""


class MissingExtraError(FermediaError):
    """A command whose optional packages are not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs packages that are not installed; run: pip install "fermedia[{extra}]"')


class WorkerError(FermediaError):
    """The processes or machines that should do the work cannot."""
