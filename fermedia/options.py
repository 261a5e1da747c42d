"""The options of a run. Each is defined once, here, with its default, its check and its help text.

The command line derives its flags from these fields (``fermedia.flags``), the Python interface its keyword
arguments (``fermedia.library``), and a run's record its ``options``.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, fields
from numbers import Integral, Real
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_type_hints

from fermedia.errors import UsageError


def _option(default: Any, help: str, check: Callable[[Any], str | None] | None = None, **more: Any) -> Any:
    """Define a field as an option. ``check`` returns what is wrong with a value ("must be ..."), or None."""
    return field(default=default, metadata={"help": help, "check": check, **more})


def _positive(value: float | None) -> str | None:
    return None if value is None or 0 < value < float("inf") else "must be greater than 0"


def _not_negative(value: float | None) -> str | None:
    return None if value is None or 0 <= value < float("inf") else "must be 0 or more"


def _exports(value: Sequence[str] | None) -> str | None:
    known = value is None or set(value) <= EXPORT_FILES.keys() or tuple(value) == (NOTHING,)
    return None if known else f"knows {', '.join(EXPORT_FILES)}, and {NOTHING} alone"


def _drawings(value: Sequence[str] | None) -> str | None:
    return None if value is None or (value and set(value) <= set(DRAWN)) else f"takes any of {', '.join(DRAWN)}"


def _share(value: float) -> str | None:
    return None if 0 < value < 1 else "must lie between 0 and 1"


def _share_or_0(value: float) -> str | None:
    return None if 0 <= value < 1 else "must be 0 or more and below 1"


def _share_or_all(value: float) -> str | None:
    return None if 0 <= value <= 1 else "must lie between 0 and 1"


def _degrees(most: float) -> Callable[[float], str | None]:
    return lambda value: None if 0 < value <= most else f"must be above 0 and at most {most:g}"


def _baseline(value: str | None) -> str | None:
    return "must be longer than 0 seconds" if value and re.fullmatch(r"0+([.,]0*)?\s*s", value) else None


def _smooth(value: float) -> str | None:
    return None if 0 <= value <= 5 else "must lie between 0 and 5 seconds"


def _crop(value: int) -> str | None:
    return None if 24 <= value <= 48 else "must lie between 24 and 48"


def _faces(value: str | None) -> str | None:
    known = value is None or all(word.strip() for word in value.split(","))
    return None if known else "must be all, others, or names or ids of faces, such as 0,2"


def _only(value: str | None) -> str | None:
    return None if value is None or value.strip() else f"must be {LARGEST} or a name of --people"


def seconds(value: float | str) -> float:
    """Parse a time written as seconds, MM:SS or HH:MM:SS, optionally with decimals. Raises ValueError."""
    if not isinstance(value, str):
        return float(value)
    parts = [float(part) for part in value.split(":")]
    if len(parts) > 3 or any(part < 0 for part in parts) or any(part >= 60 for part in parts[1:]):
        raise ValueError(value)
    return sum(part * 60**i for i, part in enumerate(reversed(parts)))


#: For each type of a field: the types that are accepted, the conversion, and a name for messages.
_KINDS: dict[Any, tuple[Any, Callable[[Any], Any], str]] = {
    bool: (bool, bool, "True or False"),
    int: (Integral, int, "a whole number"),
    float: (Real, float, "a number"),
    str: (str, str, "a word"),
    Path: ((str, Path), Path, "a path"),
}


def type_hints(cls: type[Options]) -> dict[str, Any]:
    """The types of an option class's fields, by name."""
    return get_type_hints(cls)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Base of the option classes: converts values to the types of their fields, checks them, and records them."""

    def __post_init__(self) -> None:
        hints = type_hints(type(self))
        for item in fields(self):
            given = getattr(self, item.name)
            value, complaint = _checked(item, hints[item.name], given)
            if complaint:
                flag = item.metadata.get("flag") or "--" + item.name.replace("_", "-")
                shown = ",".join(map(str, given)) if isinstance(given, tuple) else repr(given)
                raise UsageError(f"{flag} {complaint}, got {shown}")
            object.__setattr__(self, item.name, value)

    def record(self) -> dict[str, Any]:
        """The options as plain values for JSON."""
        return {name: _plain(value) for name, value in dataclasses.asdict(self).items()}


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else list(value) if isinstance(value, tuple) else value


def _checked(item: dataclasses.Field[Any], hint: Any, value: Any) -> tuple[Any, str | None]:
    """The value converted to the type of its field, and what is wrong with it, or None."""
    meta, types = item.metadata, get_args(hint) if isinstance(hint, UnionType) else (hint,)
    if value is None and type(None) in types:
        return None, None
    if meta.get("kind") == "time" and isinstance(value, str):
        try:
            value = seconds(value)
        except ValueError:
            return value, "is not a time; write seconds, MM:SS or HH:MM:SS"
    if choices := meta.get("choices"):
        return value, None if value in choices else f"must be one of {', '.join(choices)}"
    for kind, (instances, made, name) in _KINDS.items():
        if kind in types:
            if not isinstance(value, instances) or (isinstance(value, bool) and kind is not bool):
                return value, f"must be {name}"
            value = made(value)
    check = meta.get("check")
    return value, check(value) if check else None


def _region(value: str | None) -> str | None:
    return None if value is None or _is_region(value) else "must be X,Y,WIDTH,HEIGHT in pixels, such as 0,0,640,360"


def _is_region(value: str) -> bool:
    numbers = value.split(",")
    return len(numbers) == 4 and all(n.isdecimal() for n in numbers) and int(numbers[2]) > 0 and int(numbers[3]) > 0


@dataclass(frozen=True, kw_only=True)
class Sampling(Options):
    """Which frames of a video are analysed. Times are seconds of the video as a player shows it."""

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


#: The word of ``--only`` besides names.
LARGEST = "largest"

#: The value that resets an option that a folder of results remembers.
NOTHING = "none"

#: The formats of ``--export``, and the files that each is written to; ``tables.exports`` has a function of each name.
EXPORT_FILES = {
    "srt": ("segments.srt",),
    "vtt": ("segments.vtt",),
    "elan": ("segments_elan.txt",),
    "eaf": ("segments.eaf",),
    "bids": ("segments_events.tsv", "segments_events.json"),
}

#: The formats of ``fermedia export``.
SPREADSHEETS = ("xlsx", "spss", "excel-csv")

#: What ``--draw`` adds to the faces of annotated videos and photos; ``render.features`` has a function for each.
DRAWN = ("mesh", "pose", "gaze")

#: The names of a network's output heads: the two sets of labels that it can be trained on, and the mixture of both.
FER2013, FERPLUS, EVERYDAY = "fer2013", "ferplus", "everyday"
LABELS = (EVERYDAY, FER2013, FERPLUS)

#: The presets of face detection (``vision.detect``), from the fastest to the most thorough.
PRESETS = ("fast", "balanced", "thorough")

#: The runtimes for the face detector's networks (``vision.networks``, ``vision.reference``).
RUNTIMES = ("litert", "mediapipe")


@dataclass(frozen=True, kw_only=True)
class ObserveOptions(Sampling):
    """Everything that changes what is observed: the keyword arguments of ``fermedia.observe`` and ``analyze``."""

    model: Path | None = _option(
        None, "Folder of a trained model. If not given, the included one.", metavar="DIR", kind="folder"
    )
    labels: str | None = _option(
        None,
        "Output head of the network: everyday, a mixture of the other two for everyday faces; fer2013, trained on "
        "FER-2013's labels, which predicts emotions more often; or ferplus, trained on the FER+ crowd's labels. If not "
        "given, the model's default.",
        choices=LABELS,
    )
    detector: str = _option(
        "balanced",
        "Preset of face detection: fast searches the whole image once; thorough searches overlapping squares for "
        "small faces, too.",
        choices=PRESETS,
    )
    runtime: str = _option(
        "litert",
        "Runtime of the detector's networks: LiteRT, which sends nothing anywhere, or Google's mediapipe package (the "
        "extra of that name), which reports usage to Google.",
        choices=RUNTIMES,
    )
    detection_confidence: float = _option(0.5, "Minimum confidence of a detected face, 0..1.", _share, metavar="SHARE")
    region: str | None = _option(
        None,
        "Analyse only faces whose centre is in this part of the image, such as one tile of a meeting: its left edge, "
        "top edge, width and height in pixels of the image as a player shows it.",
        _region,
        metavar="X,Y,W,H",
    )
    min_face: float = _option(
        16.0,
        "Minimum width in pixels of a face to be classified; smaller faces are recorded without an emotion.",
        _not_negative,
        metavar="PIXELS",
    )
    max_yaw: float = _option(
        60.0,
        "Maximum yaw in degrees (head turned to either side) of a face to be classified; faces beyond it are recorded "
        "without an emotion. 90 classifies all.",
        _degrees(90),
        metavar="DEGREES",
    )
    max_pitch: float = _option(
        45.0,
        "Maximum pitch in degrees (head tilted up or down) of a face to be classified. 180 classifies all.",
        _degrees(180),
        metavar="DEGREES",
    )
    measures: bool = _option(
        False,
        "Measure each face: head pose, gaze, eyes and blinks, mouth and speaking, 52 blendshapes.",
        flag="--measures/--no-measures",
    )
    landmarks: bool = _option(
        False,
        "Also write the 478 points of each face, as Parquet; implies --measures.",
        flag="--landmarks/--no-landmarks",
    )
    smooth: float = _option(
        0.5,
        "Average a face's probabilities over this time for labels in annotated videos, segments and shares; timelines "
        "keep the raw values.",
        _smooth,
        metavar="SECONDS",
        drawn=True,
    )
    sequence_fps: float | None = _option(
        None, "Treat the numbered images of a folder as a video with F frames per second.", _positive, metavar="F"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.landmarks:
            object.__setattr__(self, "measures", True)


@dataclass(frozen=True, kw_only=True)
class AnalyzeOptions(ObserveOptions):
    """Everything that changes what ``fermedia analyze`` writes.

    Fields marked ``derived`` (in their metadata) only select additional files that are made from a finished timeline;
    None stands for the value that the folder of results remembers. Fields marked ``drawn`` do not affect the timeline,
    only what is drawn and computed from it.
    """

    video: bool = _option(
        True, "Write annotated videos and photos, or only tables.", flag="--video/--no-video", drawn=True
    )
    blur: str | None = _option(
        None,
        "Hide faces in annotated videos and photos, and in the images of the pages: all; others, which is all but the "
        "face that is largest over an item; or some faces by the names of --people or by their ids, such as Anna or "
        "0,2.",
        _faces,
        metavar="WHO",
        drawn=True,
    )
    only: str | None = _option(
        None,
        "Keep only one person's faces: largest, the largest face in each frame or photo; or a name of --people.",
        _only,
        metavar="WHO",
    )
    audio: bool = _option(
        True, "Write the source's audio into annotated videos.", flag="--audio/--no-audio", drawn=True
    )
    faces: bool = _option(
        True,
        "Keep images of faces. --no-faces writes no image at all, not even for the pages: only tables and pages; "
        "implies --no-video.",
        flag="--faces/--no-faces",
        drawn=True,
    )
    undecided: float = _option(
        0.4,
        "Show a face whose most probable emotion has a smaller probability as undecided in videos, photos and pages; "
        "0 for never. Tables keep all probabilities.",
        _share_or_0,
        metavar="SHARE",
        drawn=True,
    )
    draw: tuple[str, ...] | None = _option(
        None,
        "Also draw what is measured into annotated videos and photos: any of mesh (outlines of face, eyes, brows and "
        "lips), pose (the head's axes) and gaze; implies --measures.",
        _drawings,
        metavar="LIST",
        kind="list",
        drawn=True,
    )
    export: tuple[str, ...] | None = _option(
        None,
        "Also write a video's segments in the formats of SubRip, WebVTT, ELAN (text, or .eaf) or BIDS: any of "
        f"{','.join(EXPORT_FILES)}. Remembered by later runs into the folder; none resets it.",
        _exports,
        metavar="LIST",
        kind="list",
        derived=True,
    )
    format: str | None = _option(
        None,
        "Format of the timelines; parquet writes both. Remembered by later runs into the folder; csv resets it.",
        choices=("csv", "parquet"),
        derived=True,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("region", "only"):
            if getattr(self, name) is not None and self.blur is not None:
                raise UsageError(f"--{name} leaves out the other faces, so --blur cannot hide them; give one of them")
        if not self.faces:
            if self.blur is not None:
                raise UsageError("--no-faces writes no image in which --blur could hide faces; give one of them")
            object.__setattr__(self, "video", False)
        if self.draw is not None:
            if not self.video:
                flag = "--no-video" if self.faces else "--no-faces"
                raise UsageError(f"--draw draws into annotated videos and photos, which {flag} leaves out")
            object.__setattr__(self, "draw", tuple(kind for kind in DRAWN if kind in self.draw))
            object.__setattr__(self, "measures", True)


@dataclass(frozen=True, kw_only=True)
class EventOptions(Options):
    """Events, and what is computed around them: for ``analyze`` and ``report``. They change no result of the analysis.

    None stands for the value that the folder of results remembers, or else for that of ``EVENT_DEFAULTS``.
    """

    events: Path | None = _option(
        None,
        "Summarize faces in events: a CSV or .xlsx with the columns item, begin (or onset), end or duration, label (or "
        "trial_type), trial; a BIDS _events.tsv, an export of BORIS, an .eaf of ELAN; or a folder of such files. "
        "Writes windows.csv and courses.csv. Remembered by later runs into the folder; none resets it.",
        metavar="PATH",
        kind="path",
    )
    baseline: str | None = _option(
        None,
        "Also give every mean as its change from a baseline: the events of a LABEL; the first seconds of the video "
        "(10s); the --before seconds before each event (before); or each face's median. Remembered; none resets it.",
        _baseline,
        metavar="LABEL|10s|before|median",
    )
    before: float | None = _option(
        None, "Begin courses this long before an event (default: 2). Remembered.", _not_negative, metavar="SECONDS"
    )
    after: float | None = _option(
        None,
        "Follow courses, and the windows of events without an end, for this long (default: 5). Remembered.",
        _positive,
        metavar="SECONDS",
    )
    bin: float | None = _option(
        None, "Average courses over steps of this length (default: 0.5). Remembered.", _positive, metavar="SECONDS"
    )


#: The figures of ``fermedia plot``, by the names of their files.
PLOT_KINDS = (
    *("timeline", "distribution", "measures", "heatmap", "participants", "differences"),
    *("blendshapes_by_emotion", "blendshapes_by_condition", "courses", "windows"),
)

#: Seconds before and after an event's begin, and per step, of courses.
EVENT_DEFAULTS = {"before": 2.0, "after": 5.0, "bin": 0.5}


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """How ``analyze`` distributes its work. None of these options changes a result."""

    workers: int | None = _option(
        None,
        "Number of worker processes, each with several threads. If not given: one per processor, limited by memory (2 "
        "GB each), with few inputs down to half of that. With 0, and by default with a single input, the main process "
        "does the work.",
        _not_negative,
        metavar="N",
    )
    timeout: float | None = _option(
        None,
        "Stop an item (of a video longer than ten minutes: a part of it) that takes longer.",
        _positive,
        metavar="SECONDS",
    )
    executor: str = _option(
        "local", "Where the work is done: on this machine, or on a Ray cluster.", choices=("local", "ray")
    )
    ray_address: str | None = _option(
        None, "Address of the cluster, with --executor ray. If not given, the one Ray finds.", metavar="ADDRESS"
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.ray_address is not None and self.executor != "ray":
            raise UsageError("--ray-address needs --executor ray")
        if self.ray_address is not None and not self.ray_address.strip():
            raise UsageError("--ray-address is empty; leave it out for the cluster that Ray finds")
        if self.timeout is not None and self.workers == 0:
            raise UsageError("--timeout needs a process that can be ended; give --workers 1 or more")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """Everything that determines the result of a training. Written into the checkpoint and the model card."""

    epochs: int | None = _option(None, "Passes over the training images (60 if --hours is not given).", _positive)
    hours: float | None = _option(None, "Train for this long instead; the schedule follows the clock.", _positive)
    seed: int = _option(0, "Random seed of the weights, the order and the augmentation.", _not_negative)
    batch_size: int = _option(128, "Images per step.", _positive)
    learning_rate: float = _option(
        0.1, "Peak learning rate, after the warm-up; SGD with Nesterov momentum 0.9.", _positive
    )
    weight_decay: float = _option(5e-4, "L2 penalty on the kernels.", _not_negative)
    label_smoothing: float = _option(0.1, "Share of a label that is spread over all classes.", _share_or_0)
    mixup: float = _option(0.0, "Alpha of mixup's Beta distribution; 0 for none.", _not_negative)
    augmentation: float = _option(1.0, "Strength of the augmentation; 0 for mirroring only.", _not_negative)
    crop: int = _option(40, "Side in pixels of the random crops in training; evaluation uses all 48 pixels.", _crop)
    width: float = _option(1.0, "Factor on the network's channels.", _positive)
    distillation: float = _option(
        0.7, "With --teacher: weight of the teachers' predictions in the target; the rest is the label.", _share_or_all
    )
    copies: int = _option(
        30,
        "With --teacher: number of augmented passes with the teachers' predictions; the epochs use them in turn, then "
        "mirrored.",
        _positive,
    )
    balance: float = _option(
        0.25,
        "Weight of balanced accuracy in the objective of the predictions; the rest is plain accuracy. Higher values "
        "help rare classes.",
        _share_or_all,
    )
    memory: float = _option(
        2.0,
        "Weight of the labels of the training images most similar to a face, which the model stores; 0 leaves them "
        "out, which makes the file smaller by 54 bytes per image.",
        _not_negative,
    )
    precision: str = _option(
        "auto",
        "Arithmetic of the training; auto uses bfloat16 if the processor supports it.",
        choices=("auto", "float32", "bfloat16"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.epochs is not None and self.hours is not None:
            raise UsageError("--epochs and --hours exclude each other; give one of them")
        if self.epochs is None and self.hours is None:
            object.__setattr__(self, "epochs", 60)
