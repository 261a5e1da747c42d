"""The exceptions that fermedia raises. Each message is one line: what went wrong, with which file, what to try."""

from pathlib import Path
from typing import Literal, get_args

Stage = Literal["open", "read", "decode", "audio", "write", "worker", "disk", "internal"]
"""The operation that failed. ``worker``: the worker process died or exceeded the time limit; ``disk``: the disk is
full, which is not caused by the item, so the run stops; ``internal``: a bug in fermedia."""

STAGES: tuple[Stage, ...] = get_args(Stage)


class FermediaError(Exception):
    """Base class of everything fermedia raises on purpose."""


class UsageError(FermediaError):
    """The arguments are wrong or contradict each other (exit status 2)."""


class MediaError(FermediaError):
    """A file cannot be read, or not completely, as a video or photo, or its results cannot be written.

    Attributes:
        stage: The operation that failed.
    """

    def __init__(self, message: str, stage: Stage = "open") -> None:
        super().__init__(message)
        self.stage = stage


def write_error(path: Path, source: str, error: OSError) -> MediaError:
    """The error for a table of the recording ``source`` that cannot be written."""
    return MediaError(f"{path.name} of {source} cannot be written ({error.strerror or error})", "write")


class MediaWarning(UserWarning):
    """A part of a recording was left out or corrected (``fermedia.observe`` and ``analyze``)."""


class OutputError(FermediaError):
    """The folder of results cannot be written; this is not caused by an item, so the run ends."""


class DataError(FermediaError):
    """A data set or table does not have the expected format."""


class ModelError(FermediaError):
    """A model folder is missing, incomplete or damaged."""


class MissingExtraError(FermediaError):
    """The optional packages of a command are not installed."""

    def __init__(self, what: str, extra: str) -> None:
        super().__init__(f'{what} needs packages that are not installed; run: pip install "fermedia[{extra}]"')


class WorkerError(FermediaError):
    """The worker processes or the machines of a cluster cannot do the work."""
