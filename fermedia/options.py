"""The options of a run. Each stands here once, with its default, its check and its help.

The command line makes its flags from these fields (``fermedia.flags``), the Python interface its keyword
arguments, and a run's record its ``options``.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from fermedia.errors import UsageError


def _option(default: Any, help: str, check: Callable[[Any], str | None] | None = None, **more: Any) -> Any:
    """A field that is an option. ``check`` gives a complaint ("must be ...") or None."""
    return field(default=default, metadata={"help": help, "check": check, **more})


def _positive(value: float | None) -> str | None:
    return None if value is None or 0 < value < float("inf") else "must be greater than 0"


def _not_negative(value: float | None) -> str | None:
    return None if value is None or 0 <= value < float("inf") else "must be 0 or more"


def _exports(value: Sequence[str]) -> str | None:
    return None if set(value) <= set(EXPORT_FORMATS) else f"knows {', '.join(EXPORT_FORMATS)}"


def _share(value: float) -> str | None:
    return None if 0 < value < 1 else "must lie between 0 and 1"


def _share_or_0(value: float) -> str | None:
    return None if 0 <= value < 1 else "must be 0 or more and below 1"


def _share_or_all(value: float) -> str | None:
    return None if 0 <= value <= 1 else "must lie between 0 and 1"


def _smooth(value: float) -> str | None:
    return None if 0 <= value <= 5 else "must lie between 0 and 5 seconds"


def _crop(value: int) -> str | None:
    return None if 24 <= value <= 48 else "must lie between 24 and 48"


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of the option classes: checks itself, and can be written down."""

    def __post_init__(self) -> None:
        for item in fields(self):
            check = item.metadata.get("check")
            complaint = check(getattr(self, item.name)) if check else None
            if complaint:
                flag = item.metadata.get("flag") or "--" + item.name.replace("_", "-")
                value = getattr(self, item.name)
                raise UsageError(f"{flag} {complaint}, got {','.join(value) if isinstance(value, tuple) else value}")

    def record(self) -> dict[str, Any]:
        """The options as plain values for JSON."""
        return {k: str(v) if isinstance(v, Path) else v for k, v in dataclasses.asdict(self).items()}


@dataclass(frozen=True, kw_only=True)
class Sampling(Options):
    """Which frames of a video are analysed. Times are seconds of the film as a player shows it."""

    every: int = _option(1, "Analyse every N-th decoded frame, counted from the start.", _positive, metavar="N")
    fps: float | None = _option(None, "Analyse about F frames a second, chosen by their times.", _positive, metavar="F")
    start: float | None = _option(
        None, "Begin here: seconds, MM:SS or HH:MM:SS.", _not_negative, metavar="TIME", kind="time"
    )
    end: float | None = _option(None, "Stop before this time.", _positive, metavar="TIME", kind="time")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.fps is not None and self.every != 1:
            raise UsageError("--every and --fps exclude each other; give one of them")
        if self.start is not None and self.end is not None and self.end <= self.start:
            raise UsageError(f"--end must lie after --start, got {self.start} to {self.end} seconds")


#: What ``--export`` can name (``outputs.exports``).
EXPORT_FORMATS = ("srt", "vtt", "elan", "bids")


#: What a network's heads can be called: the two labellings that it learns, and the mixture of both.
LABELS = ("everyday", "fer2013", "ferplus")

#: Who can run the face detector's networks (``vision.networks``, ``vision.reference``).
RUNTIMES = ("litert", "mediapipe")


@dataclass(frozen=True, kw_only=True)
class AnalyzeOptions(Sampling):
    """Everything that changes what ``analyze`` writes.

    Fields that are ``derived`` (in their metadata) only say which more files are made of a finished timeline.
    """

    video: bool = _option(True, "Write annotated films and pictures, or tables alone.", flag="--video/--no-video")
    model: Path | None = _option(
        None, "A trained model's folder; the one that ships if not given.", metavar="DIR", kind="folder"
    )
    labels: str | None = _option(
        None,
        "Which reading of the network: everyday, made of the other two for faces of every day; fer2013, by FER-2013's "
        "labels, readier to see emotions; or ferplus, by the FER+ crowd's. The model's card says which if not given.",
        choices=LABELS,
    )
    detector: str = _option(
        "balanced",
        "How hard to look for faces: fast takes one look, thorough searches overlapping tiles for small faces.",
        choices=("fast", "balanced", "thorough"),
    )
    runtime: str = _option(
        "litert",
        "Who runs the detector's networks: LiteRT, which sends nothing anywhere, or Google's mediapipe package (the "
        "extra of that name), which reports its use to Google.",
        choices=RUNTIMES,
    )
    detection_confidence: float = _option(0.5, "Least score of a detected face, 0..1.", _share, metavar="SHARE")
    min_face: float = _option(
        16.0,
        "Least width of a face in pixels that is judged; smaller ones are written down without an emotion.",
        _not_negative,
        metavar="PIXELS",
    )
    undecided: float = _option(
        0.4,
        "Show a face whose best emotion has a smaller probability as undecided in films, photos and pages, 0 for none; "
        "tables keep all probabilities.",
        _share_or_0,
        metavar="SHARE",
    )
    smooth: float = _option(
        0.5,
        "Average a face's probabilities over this time for drawn labels and summaries; timelines stay raw.",
        _smooth,
        metavar="SECONDS",
    )
    sequence_fps: float | None = _option(
        None, "Take the numbered pictures of a folder for a film of F frames a second.", _positive, metavar="F"
    )
    export: tuple[str, ...] = _option(
        (),
        "Write a film's segments for other programs too, for SubRip, WebVTT, ELAN, BIDS: any of "
        f"{','.join(EXPORT_FORMATS)}.",
        _exports,
        metavar="LIST",
        kind="list",
        derived=True,
    )
    format: str = _option("csv", "Of the timelines; parquet writes both.", choices=("csv", "parquet"), derived=True)


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """How the work of ``analyze`` is done. Nothing here changes a result."""

    workers: int | None = _option(
        None,
        "Processes that share the work, each with several threads. If not given: one for each processor, as far as the "
        "memory goes (2 GB each), for few inputs down to half of that; for a single input none, as with 0: then this "
        "process does it.",
        _not_negative,
        metavar="N",
    )
    timeout: float | None = _option(
        None,
        "Give up an item (of a film of over ten minutes: a part of it) that takes longer.",
        _positive,
        metavar="SECONDS",
    )
    executor: str = _option("local", "Who does the work: this machine, or a Ray cluster.", choices=("local", "ray"))
    ray_address: str | None = _option(
        None, "The cluster's address, with --executor ray; if not given, the one that Ray knows of.", metavar="ADDRESS"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ray_address is not None and self.executor != "ray":
            raise UsageError("--ray-address needs --executor ray")
        if self.timeout is not None and self.workers == 0:
            raise UsageError("--timeout needs a process that can be ended; give --workers 1 or more")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """Everything that decides what a training makes of its data. Written into the checkpoint and the card."""

    epochs: int | None = _option(None, "Passes over the training images (60 if --hours is not given).", _positive)
    hours: float | None = _option(None, "Train this long instead; the schedule follows the clock.", _positive)
    seed: int = _option(0, "Of the weights, the order and the augmentation.", _not_negative)
    batch_size: int = _option(128, "Images a step.", _positive)
    learning_rate: float = _option(0.1, "At its peak, after the warm-up; SGD with Nesterov momentum 0.9.", _positive)
    weight_decay: float = _option(5e-4, "L2 penalty on the kernels.", _not_negative)
    label_smoothing: float = _option(0.1, "Share of a label that is spread over all classes.", _share_or_0)
    mixup: float = _option(0.0, "Alpha of mixup's Beta distribution; 0 for none.", _not_negative)
    augmentation: float = _option(1.0, "Strength of the augmentation; 0 for mirror images alone.", _not_negative)
    crop: int = _option(40, "Side of the random crops in training; tests use the whole 48 pixels.", _crop)
    width: float = _option(1.0, "Factor on the network's channels.", _positive)
    distillation: float = _option(
        0.7, "With --teacher: share of the teachers' answers in what is taught; the rest is the label's.", _share_or_all
    )
    copies: int = _option(
        30,
        "With --teacher: augmented passes that the teachers answer and the epochs use in turn, then mirrored.",
        _positive,
    )
    balance: float = _option(
        0.25,
        "Share of balanced accuracy in what the answers aim at; the rest is plain accuracy. Higher helps rare classes.",
        _share_or_all,
    )
    memory: float = _option(
        2.0,
        "Weight of what the training images most like a face were labelled, which the model then carries with it; "
        "0 leaves them out, for a file smaller by 54 bytes an image.",
        _not_negative,
    )
    precision: str = _option(
        "auto",
        "Arithmetic of the training; auto takes bfloat16 where the processor has it.",
        choices=("auto", "float32", "bfloat16"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs is not None and self.hours is not None:
            raise UsageError("--epochs and --hours exclude each other; give one of them")
        if self.epochs is None and self.hours is None:
            object.__setattr__(self, "epochs", 60)
