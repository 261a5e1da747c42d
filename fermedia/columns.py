"""Every column of every table that fermedia writes: name, type, unit, range and meaning.

``data_dictionary.csv`` in a folder of results, the page docs/columns.md and the order of the columns in the tables are
all made from these definitions.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from fermedia.errors import STAGES
from fermedia.types import AT_CAMERA, BLENDSHAPES, EMOTIONS, GOOD, PRESENT, REASONS


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        name: Its name in the header row.
        type: ``text``, ``integer``, ``number`` or ``0/1``.
        unit: Its unit, or empty.
        range: Its possible values, or empty.
        meaning: Its description.
        added: Whether tables of older versions do not have it. In the tables of items such columns come last.
    """

    name: str
    type: str
    unit: str
    range: str
    meaning: str
    added: bool = False

    @property
    def limits(self) -> tuple[float, float] | None:
        """The smallest and the largest possible value of a share, a probability or a valence; None for others."""
        return {"0..1": (0.0, 1.0), "-1..1": (-1.0, 1.0)}.get(self.range)

    def holds(self, value: object) -> bool:
        """Whether ``value``, as read from JSON, has this column's type."""
        return isinstance(value, _VALUES[self.type])

    def written(self, value: object) -> str:
        """Format a value for CSV; None becomes an empty field."""
        if value is None:
            return ""
        return f"{value:.6f}" if self.type == "number" else str(value)

    def read(self, text: str) -> str | int | float:
        """Parse a non-empty field of a CSV file. Raises ValueError."""
        return {"text": str, "number": float}.get(self.type, int)(text)


#: The Python types of the values of each type of column.
_VALUES: dict[str, tuple[type, ...]] = {"text": (str,), "integer": (int,), "number": (int, float), "0/1": (int,)}


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        name: Its name.
        files: Its files, relative to the folder of results.
        row: What a row stands for.
        columns: Its columns.
        keys: With ``--participants``, the columns ``participant`` and those of the factors follow this number of
            columns; 0 if it does not have them, or if ``FACTOR`` is among its columns.
    """

    name: str
    files: str
    row: str
    columns: tuple[Column, ...]
    keys: int = 0

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        return tuple(column.name for column in self.columns)

    @property
    def first_names(self) -> tuple[str, ...]:
        """The names of the columns that tables of all versions have."""
        return tuple(column.name for column in self.columns if not column.added)

    def having(self, given: Sequence[Column]) -> tuple[Column, ...]:
        """The columns in a folder with ``--participants``.

        Args:
            given: ``participant``, the columns of the factors and those that are copied, as ``given_columns`` makes
                them; empty without ``--participants``.
        """
        if FACTOR.name in self.names:
            place = self.names.index(FACTOR.name)
            if PARTICIPANT.name not in self.names:  # a table of factors alone
                given = [column for column in given if column.meaning != _COPIED]
            return (*self.columns[:place], *given[1:], *self.columns[place + 1 :])
        keys = self.keys if given else 0
        return (*self.columns[:keys], *(given if keys else ()), *self.columns[keys:])


#: Stands for the columns whose names come from the table of ``--participants``.
FACTOR = Column(
    "FACTOR",
    "text",
    "",
    "",
    "a column for each factor: every column of the file but item, face_id, participant, and those that begin with #",
)


def given_columns(names: Iterable[str], copied: Iterable[str] = ()) -> tuple[Column, ...]:
    """The columns that ``--participants`` adds to tables: ``participant``, those of factors, and ``copied`` ones."""
    factors = (replace(FACTOR, name=name, meaning=_AS_GIVEN) for name in names)
    others = (replace(FACTOR, name=name, meaning=_COPIED) for name in copied)
    return (PARTICIPANT, *factors, *others)


#: The meanings of columns whose names come from the table of ``--participants``: factors, and others.
_AS_GIVEN = "as in the file of --participants"
_COPIED = f"{_AS_GIVEN}; not a factor"


def _seconds(name: str, meaning: str) -> Column:
    return Column(name, "number", "s", "0 and more", meaning)


def _share(name: str, meaning: str) -> Column:
    return Column(name, "number", "", "0..1", meaning)


def _pixels(name: str, meaning: str, range: str) -> Column:
    return Column(name, "number", "px", range, meaning)


def _degrees(name: str, meaning: str, range: str = "-180..180") -> Column:
    return Column(name, "number", "degrees", range, meaning)


def _added(*columns: Column) -> tuple[Column, ...]:
    return tuple(replace(column, added=True) for column in columns)


#: The participant in tables that have one, as in the file of ``--participants``.
PARTICIPANT = Column(
    "participant",
    "text",
    "",
    "",
    "as in the file of --participants; of an item with several participants empty",
)

#: The person in tables that have a ``face_id``, as in the file of ``--people``.
PERSON = Column(
    "person", "text", "", "", "who the face is, as in the file of --people; empty if it is not named", added=True
)

_EMOTIONS = ", ".join(EMOTIONS)
_IN_VIDEO = "empty for photos"
_MEANS = tuple(
    _share(
        f"{e}_mean",
        f"mean probability of {e} over the classified time; the seven sum to 1; empty if never classified",
    )
    for e in EMOTIONS
)
_VALENCE = Column(
    "valence_mean",
    "number",
    "",
    "-1..1",
    "mean valence over the classified time; empty if never classified",
    added=True,
)
_SHARES = tuple(
    _share(
        f"{e}_share",
        f"share of the classified time in which {e} is the most probable emotion after smoothing (--smooth); the seven "
        "sum to 1",
    )
    for e in EMOTIONS
)

_QUALITY = Column(
    "quality",
    "text",
    "",
    f"{GOOD}, or some of {', '.join(REASONS)}",
    f"whether the prediction can be trusted ({GOOD}), or else the problems, separated by spaces; small, turned and "
    "bent faces are not classified; covered is only known with --measures",
)

TIMELINE = Table(
    "timeline",
    "items/ITEM/timeline.csv (and .parquet with --format parquet)",
    "a face in an analysed frame; an analysed frame without a face has one row of its own",
    (
        Column("source", "text", "", "", "path of the video as given or found; for photos the file name"),
        Column("frame", "integer", "", "0 and more", "index among the decoded frames, regardless of sampling"),
        Column(
            "timestamp",
            "number",
            "s",
            "",
            f"time at which the frame is shown, from the video's presentation timestamps; {_IN_VIDEO}",
        ),
        Column(
            "face_id",
            "integer",
            "",
            "0 and more",
            "identifies a person up to the next cut; in a photo the rank by size, 0 the largest; empty without a face",
        ),
        Column("success", "0/1", "", "0, 1", "1 where there is a face"),
        _share("confidence", "confidence of the face detector"),
        _pixels(
            "x",
            "left edge of the box, in square pixels of the upright image (for videos: of the annotated video), from "
            "its left edge",
            "may be negative",
        ),
        _pixels("y", "top edge of the box, from the image's top edge downwards", "may be negative"),
        _pixels("width", "width of the box", "above 0"),
        _pixels("height", "height of the box", "above 0"),
        Column(
            "judged",
            "0/1",
            "",
            "0, 1",
            "1 where the face was classified; 0 where it is too small or its head is turned or bent too far "
            "(--min-face, --max-yaw, --max-pitch), or there is no face",
        ),
        *(_share(e, f"probability of {e} in this single frame, not smoothed; the seven sum to 1") for e in EMOTIONS),
        Column("emotion", "text", "", _EMOTIONS, "the most probable emotion; empty if not classified"),
        Column("valence", "number", "", "-1..1", "happy minus the largest of angry, disgust, fear, sad"),
        *_added(_QUALITY, PERSON),
    ),
)

#: MediaPipe's blendshapes, by their names.
_SHAPES = tuple(
    _share(
        name, "blendshape of the face at rest" if name == "_neutral" else "MediaPipe's blendshape; not an action unit"
    )
    for name in BLENDSHAPES
)

#: The other measures of a face in a frame.
_FIGURES = (
    _share(
        "presence",
        f"probability that the mesh fits a face in full view; below {PRESENT} the other measures are unreliable",
    ),
    _degrees(
        "yaw",
        "yaw of the head relative to the line to the camera; positive to the person's right",
        "-90..90",
    ),
    _degrees("pitch", "pitch of the head; positive downwards"),
    _degrees("roll", "roll of the head; positive clockwise in the image"),
    _degrees(
        "gaze_x",
        "horizontal gaze relative to the camera; 0, 0 looks at the camera; positive to the right in the image; "
        "uncalibrated; empty where the eyes are closed",
    ),
    _degrees("gaze_y", "vertical gaze relative to the camera; positive downwards"),
    _degrees("head_gaze_x", "horizontal gaze relative to the head; 0, 0 looks where the head points"),
    _degrees("head_gaze_y", "vertical gaze relative to the head; positive downwards"),
    Column(
        "looks_at_camera",
        "0/1",
        "",
        "0, 1",
        f"1 where gaze_x and gaze_y are within {AT_CAMERA:g} degrees of the camera",
    ),
    Column(
        "right_eye",
        "number",
        "",
        "0 and more",
        "opening of the person's right eye, in widths of the eye; open eyes have about 0.3, closed ones below 0.15",
    ),
    Column("left_eye", "number", "", "0 and more", "the same for the left eye"),
    Column(
        "mouth_opening",
        "number",
        "",
        "0 and more",
        "distance between the lips, in units of the distance between the eyes' outer corners",
    ),
    Column("mouth_width", "number", "", "0 and more", "distance between the corners of the mouth, in the same unit"),
    Column(
        "right_corner",
        "number",
        "",
        "",
        "height of the person's right corner of the mouth above the middle of the lips, in the same unit",
    ),
    Column("left_corner", "number", "", "", "the same for the left corner"),
    _share("speaking", "probability of speaking, from the movement of the mouth over one second; empty for photos"),
)

MEASURES = Table(
    "measures",
    "items/ITEM/measures.csv (with --measures; and .parquet with --format parquet)",
    "a row of the timeline, with the measures of the face; empty where there is no face, or it is too small "
    "(--min-face)",
    (
        *TIMELINE.columns[:4],
        *_FIGURES,
        _QUALITY,
        *_SHAPES,
        PERSON,
    ),
)

BLINKS = Table(
    "blinks",
    "items/VIDEO/blinks.csv (with --measures)",
    "a blink: the eyes close for up to half a second",
    (
        Column("source", "text", "", "", "as in the timeline"),
        Column("face_id", "integer", "", "0 and more", "identifies a person up to the next cut, as in the timeline"),
        _seconds("begin", "time at which the closing eyes pass three quarters of open, interpolated between frames"),
        _seconds("end", "time at which the opening eyes pass three quarters of open"),
        _seconds("duration", "end minus begin"),
        _share("depth", "largest closing of the eyes in any frame: 0 not at all, 1 completely"),
        PERSON,
    ),
)

_QUALITY_SHARES = tuple(
    _share(f"{q}_share", f"share of the face's time in which the quality was {q}{more}")
    for q, more in [(GOOD, ""), *((reason, ", alone or with other problems") for reason in REASONS)]
)

_IF_MEASURED = "empty if not measured (--measures)"


def _summed(column: Column) -> Iterator[Column]:
    """The columns of the summary that are computed from a measure."""
    if column.name == "looks_at_camera":
        yield _share(
            "looks_at_camera_share",
            f"share of the time with open eyes in which they look at the camera; {_IF_MEASURED}",
        )
    elif column.name == "speaking":
        yield _share("speaking_share", f"share of the time with a speaking of 0.5 or more; {_IF_MEASURED}")
    elif column.name != "presence":
        yield replace(column, name=f"{column.name}_mean", meaning=f"mean {column.name}; {_IF_MEASURED}")


_SUMMED = (
    _share("measured", f"share of the face's time in which it was measured with a presence of {PRESENT} or more"),
    *(summed for column in _FIGURES for summed in _summed(column)),
    Column("blinks", "integer", "", "0 and more", f"number of blinks; {_IF_MEASURED}, and for photos"),
    Column("blinks_per_minute", "number", "1/min", "0 and more", "number of blinks per measured minute"),
    *(
        _share(
            f"{e}_share_silent", f"{e}_share over the classified time without speech; {_IF_MEASURED}, and for photos"
        )
        for e in EMOTIONS
    ),
    *(summed for column in _SHAPES for summed in _summed(column)),
)

#: Those that ``participants.csv`` and ``conditions.csv`` have, too: all but counts.
_COMPARED = tuple(column for column in _SUMMED if column.name not in ("measured", "blinks"))

_ITEM = Column("item", "text", "", "", "name of the item: its folder below items/, named after the recording")
_FACE_ID = Column(
    "face_id",
    "integer",
    "",
    "0 and more",
    "as in the timeline: a person up to the next cut; in photos the rank by size",
)
_FRAMES = Column("frames", "integer", "", "0 and more", "analysed frames of the item")
_FIGURES_OF_FACES = (
    Column("emotion", "text", "", _EMOTIONS, "emotion with the largest mean; empty if never classified"),
    _VALENCE,
    *_MEANS,
    *_SHARES,
    *_added(*_QUALITY_SHARES, *_SUMMED),
)

#: What a row of the summary is about.
ITEM, FACE = "item", "face"

SUMMARY = Table(
    "summary",
    "summary.csv",
    "a face of an item, or all faces of the item together, for which the times of the faces are added: faces.csv and "
    "items.csv in one table",
    (
        _ITEM,
        *_added(
            Column("level", "text", "", f"{ITEM}, {FACE}", "what the row is about: the item as a whole, or a face")
        ),
        replace(_FACE_ID, meaning=f"{_FACE_ID.meaning}; empty for the item as a whole"),
        PERSON,
        _FRAMES,
        Column(
            "frames_with_face",
            "integer",
            "",
            "0 and more",
            "analysed frames in which this face (of an item: any face) was seen",
        ),
        _share("coverage", "share of the analysed time in which this face (of an item: any face) was seen"),
        _seconds("first", f"time of the first frame with the face; {_IN_VIDEO}"),
        _seconds("last", f"time of the last frame with the face; {_IN_VIDEO}"),
        _seconds("seconds", f"time for which the face was seen; {_IN_VIDEO}"),
        _share("judged", "share of the face's time in which it was classified; empty if never seen"),
        *_FIGURES_OF_FACES,
    ),
    keys=4,
)

FACES = Table(
    "faces",
    "faces.csv",
    "a face of an item",
    (
        _ITEM,
        _FACE_ID,
        PERSON,
        _FRAMES,
        Column("frames_with_face", "integer", "", "0 and more", "analysed frames in which the face was seen"),
        _share("coverage", "share of the analysed time in which the face was seen"),
        *SUMMARY.columns[7:],
    ),
    keys=3,
)

ITEMS = Table(
    "items",
    "items.csv",
    "an item",
    (
        _ITEM,
        Column("kind", "text", "", "video, photos, sequence", "what the item is"),
        _FRAMES,
        Column("frames_with_face", "integer", "", "0 and more", "analysed frames with a face"),
        Column("faces", "integer", "", "0 and more", "number of face_ids; for photos the number of all faces"),
        _share("coverage", "share of the analysed time in which any face was seen"),
        _seconds("seconds", f"times of all faces in view, added; {_IN_VIDEO}"),
        _share("judged", "share of the faces' time in which they were classified; empty if there was none"),
        *_FIGURES_OF_FACES,
    ),
    keys=1,
)

PHOTOS = Table(
    "photos",
    "items/PHOTOS/photos.csv",
    "a photo",
    (
        Column("source", "text", "", "", "the photo's file name"),
        Column("frame", "integer", "", "0 and more", "index among the photos of the folder, as in the timeline"),
        Column("faces", "integer", "", "0 and more", "number of faces"),
        Column("judged", "integer", "", "0 and more", "number of faces that were classified"),
        Column("emotion", "text", "", _EMOTIONS, "emotion with the largest mean; empty if no face was classified"),
        Column("valence_mean", "number", "", "-1..1", "mean valence of the classified faces"),
        *(
            _share(f"{e}_mean", f"mean probability of {e} of the classified faces; the seven sum to 1")
            for e in EMOTIONS
        ),
        *(
            _share(
                f"{e}_share", f"share of the classified faces whose most probable emotion is {e}; the seven sum to 1"
            )
            for e in EMOTIONS
        ),
    ),
)

SEGMENTS = Table(
    "segments",
    "items/VIDEO/segments.csv",
    "a segment: a period in which a face showed an emotion (defined in docs/method.md)",
    (
        Column("source", "text", "", "", "as in the timeline"),
        Column("face_id", "integer", "", "0 and more", "identifies a person up to the next cut, as in the timeline"),
        Column("emotion", "text", "", _EMOTIONS, "the emotion, as classified by the network"),
        _seconds("begin", "time of the first frame of the segment"),
        _seconds("end", "time of the first analysed frame after the segment, or the video's end"),
        _seconds("duration", "end minus begin"),
        _share("mean", "mean smoothed probability of the emotion over the classified time of the segment"),
        _share("peak", "largest smoothed probability of the emotion"),
        _seconds("peak_time", "time of the frame with the peak"),
        PERSON,
    ),
)

CUT = Table(
    "segments by condition",
    "OUT/VIDEO/segments.csv (of fermedia segments)",
    "a period in which a value of a face met a condition",
    (
        *SEGMENTS.columns[:2],
        Column("condition", "text", "", "", "the condition, as given"),
        *SEGMENTS.columns[3:6],
        Column("mean", "number", "", "", "mean of the smoothed value over the segment"),
        Column("peak", "number", "", "", "largest smoothed value, or the smallest if the condition is <"),
        *SEGMENTS.columns[8:],
    ),
)

FAILURES = Table(
    "failures",
    "failures.csv",
    "something that could not be read or written",
    (
        Column("item", "text", "", "", "the item, or the photo within an item"),
        Column(
            "stage",
            "text",
            "",
            ", ".join(STAGES),
            "operation that failed; worker: the worker process died or exceeded the time limit; disk: the disk was "
            "full; internal: a bug in fermedia",
        ),
        Column("error", "text", "", "", "description of the error"),
    ),
)

PARTICIPANTS = Table(
    "participants",
    "participants.csv (with --participants)",
    "a participant in a combination of levels of the factors, over all of their items, weighted by the time classified",
    (
        replace(PARTICIPANT, meaning="as in the file given"),
        FACTOR,
        Column("items", "integer", "", "1 and more", "items with a classified face"),
        _seconds("seconds", "classified time; empty if some items are photos, which are weighted by their number"),
        _VALENCE,
        *_MEANS,
        *_SHARES,
        *_added(*_COMPARED),
    ),
)

_MEASURE = (
    Column(
        "measure",
        "text",
        "",
        "mean, share, columns of participants",
        "mean or share for the columns EMOTION_mean and EMOTION_share of participants; otherwise the column's name",
    ),
    Column("emotion", "text", "", _EMOTIONS, "the emotion, for mean and share; otherwise empty"),
)
_SINGLE = "empty for a single participant"
_BOUND = f"by logit for measures within 0..1 or -1..1, otherwise Student's t; {_SINGLE}, and where all are at a limit"

CONDITIONS = Table(
    "conditions",
    "conditions.csv (with --participants)",
    "a measure in a level of a factor, or a combination of levels, over its participants, each counting once",
    (
        replace(FACTOR, meaning=f"{FACTOR.meaning}; empty where the row is over all of its levels"),
        *_MEASURE,
        Column(
            "participants",
            "integer",
            "",
            "1 and more",
            "number of participants with a classified face who have the measure",
        ),
        Column("value", "number", "", "", "mean over the participants"),
        Column("sd", "number", "", "0 and more", f"standard deviation over the participants (n - 1); {_SINGLE}"),
        Column("low", "number", "", "", f"lower end of the 95 % confidence interval of the mean, {_BOUND}"),
        Column("high", "number", "", "", "upper end of the interval"),
    ),
)

COMPARISONS = Table(
    "comparisons",
    "comparisons.csv (with --participants)",
    "the difference of a measure between two levels of a factor, within the participants who have both",
    (
        Column("factor", "text", "", "", "the factor"),
        Column("first", "text", "", "", "the level that stands first in the file given"),
        Column("second", "text", "", "", "the other level"),
        *_MEASURE,
        Column(
            "participants", "integer", "", "1 and more", "number of participants who have the measure in both levels"
        ),
        Column("left_out", "integer", "", "0 and more", "number of participants who have it in only one of them"),
        Column("first_value", "number", "", "", "mean over these participants in the first level"),
        Column("second_value", "number", "", "", "mean over these participants in the second level"),
        Column("difference", "number", "", "", "mean of the participants' differences, second minus first"),
        Column("sd", "number", "", "0 and more", f"standard deviation of the differences (n - 1); {_SINGLE}"),
        Column(
            "low",
            "number",
            "",
            "",
            f"lower end of the 95 % confidence interval of the difference (Student's t, paired); {_SINGLE}",
        ),
        Column("high", "number", "", "", "upper end of the interval"),
    ),
)

_CONDITION = Column(
    "condition",
    "text",
    "",
    "",
    "of the event, if the events' file says so; otherwise the levels of the factors of --participants",
)

EVENTS = Table(
    "events",
    "items/VIDEO/events.csv (with --events)",
    "an event of the video, by its begin",
    (
        Column("event", "integer", "", "1 and more", "number of the event in the video"),
        Column("begin", "number", "s", "", "time at which it begins, in seconds of the video"),
        Column("end", "number", "s", "", "time at which it ends; empty for a moment"),
        Column("label", "text", "", "", "as in the file given"),
        Column("trial", "text", "", "", "as in the file given"),
        Column("condition", "text", "", "", "as in the file given"),
    ),
)


def _change(name: str, meaning: str) -> Column:
    return Column(f"change_{name}", "number", "", "", f"{meaning} minus that of the baseline (--baseline)")


def _changes() -> Iterator[Column]:
    """The changes of measures, each of the column of the summary that is computed from the measure."""
    for column in (*_FIGURES, *_SHAPES):
        for summed in _summed(column):
            yield replace(_change(column.name, summed.name), unit=summed.unit)


WINDOWS = Table(
    "windows",
    "windows.csv (with --events or --baseline)",
    "a face of a video in the window of an event, or the video as a whole; without --events the window is the whole "
    "video. The faces of one person (--people) are one row. A face that is not seen in the window has a row, too, with "
    "0 frames_with_face",
    (
        *SUMMARY.columns[:2],
        replace(SUMMARY.columns[2], meaning=f"{SUMMARY.columns[2].meaning}; the first of a person with several"),
        PERSON,
        replace(
            PARTICIPANT, meaning="as in --participants, in the rows of those faces, or of those items, that it names"
        ),
        _CONDITION,
        Column("event", "integer", "", "1 and more", "number of the event in the video; empty for the whole video"),
        Column("label", "text", "", "", "of the event"),
        Column("trial", "text", "", "", "of the event"),
        Column("begin", "number", "s", "", "begin of the window, in seconds of the video"),
        Column("end", "number", "s", "", "end of the window: that of the event, or of a moment --after seconds later"),
        Column("frames", "integer", "", "0 and more", "analysed frames that were shown within the window"),
        Column("frames_with_face", "integer", "", "0 and more", "those of them in which the face was seen"),
        _share(
            "coverage", "share of the analysed time of the window in which this face (of an item: any face) was seen"
        ),
        _seconds("seconds", "time of the window for which the face was seen (of an item: the faces' times added)"),
        _share("judged", "share of that time in which it was classified; empty if never seen"),
        Column("emotion", "text", "", _EMOTIONS, "emotion with the largest mean; empty if never classified"),
        Column("valence_mean", "number", "", "-1..1", "mean valence over the classified time of the window"),
        *_MEANS,
        *_SHARES,
        _seconds("baseline_seconds", "classified time of this face on which its baseline rests; empty without one"),
        _change("valence", "valence_mean"),
        *(_change(e, f"{e}_mean") for e in EMOTIONS),
        *_QUALITY_SHARES,
        *_SUMMED,
        *_changes(),
    ),
)

COURSES = Table(
    "courses",
    "courses.csv (with --events)",
    "a step of time of the mean course of a measure around the begin of the events of a label, in a condition: over "
    "participants, or without --participants over items, each counting once, as the mean of its events",
    (
        Column("label", "text", "", "", "of the events"),
        _CONDITION,
        Column("measure", "text", "", "valence, an emotion, columns of measures", "what is averaged"),
        Column("begin", "number", "s", "", "begin of the step, after the begin of the event; negative before it"),
        Column("end", "number", "s", "", "end of the step"),
        Column("over", "text", "", "participants, items", "what the mean and its interval are over"),
        Column("count", "integer", "", "1 and more", "number of those with a value in this step"),
        Column("events", "integer", "", "1 and more", "number of their events with a value in this step"),
        Column("value", "number", "", "", "mean over them"),
        Column("sd", "number", "", "0 and more", "standard deviation over them (n - 1); empty for a single one"),
        Column(
            "low",
            "number",
            "",
            "",
            "lower end of the 95 % confidence interval of the mean (Student's t); empty for a single one",
        ),
        Column("high", "number", "", "", "upper end of the interval"),
        Column("change", "number", "", "", "mean change from the baseline (--baseline)"),
        Column("change_low", "number", "", "", "lower end of its interval"),
        Column("change_high", "number", "", "", "upper end of its interval"),
    ),
)

_CODER = Column("coder_1", "text", "", "", "a coder; all coders for the statistics of three or more together")
_OTHER = Column("coder_2", "text", "", "", "the other coder, or machine; empty for all coders")
_UNIT = Column(
    "unit",
    "text",
    "",
    "time, frames",
    "time: frames are weighted by the time for which they are shown (codes of periods); frames: they count alike",
)
_LOW = Column(
    "low",
    "number",
    "",
    "",
    "lower end of the 95 % interval, by a bootstrap over people or items; empty for a single one, and where the "
    "statistic is undefined in more than a tenth of the resamples",
)

AGREEMENT = Table(
    "agreement",
    "OUT/agreement.csv (of fermedia agree)",
    "a statistic of the agreement of two coders, of all coders, or of a coder and the machine",
    (
        _CODER,
        _OTHER,
        _UNIT,
        Column("label", "text", "", "", "the label, or all for all labels together, or the name of a measure"),
        Column(
            "statistic",
            "text",
            "",
            "agreement, kappa, ac1, f1, overlap, fleiss_kappa, r, icc1, icc2, icc3, icc1k, icc2k, icc3k",
            "agreement: share on which they agree; kappa: Cohen's; ac1: Gwet's; f1: of a label, or its mean over all; "
            "overlap: time in which both gave the label by the time in which one did; r: Pearson's; icc: Shrout and "
            "Fleiss' intraclass correlations, with k of the coders' mean (docs/method.md)",
        ),
        Column("value", "number", "", "-1..1", "its value; empty if it is undefined"),
        _LOW,
        Column("high", "number", "", "", "upper end of the interval"),
        Column("frames", "integer", "", "1 and more", "analysed frames that count"),
        _seconds("seconds", "the time for which they are shown; empty with the unit frames"),
        Column("items", "integer", "", "1 and more", "items with such frames"),
        Column("clusters", "integer", "", "1 and more", "people (with --participants) or items that were resampled"),
    ),
)

CONFUSION = Table(
    "confusion",
    "OUT/confusion.csv (of fermedia agree)",
    "a label of a coder with a label of another, or of the machine",
    (
        replace(_CODER, meaning="a coder"),
        replace(_OTHER, meaning="the other coder, or machine"),
        _UNIT,
        Column("label_1", "text", "", "", "the first one's label; none where they saw nothing to code"),
        Column("label_2", "text", "", "", "the other's label of the same frames"),
        Column("frames", "integer", "", "0 and more", "frames with these labels"),
        _seconds("seconds", "the time for which they are shown; empty with the unit frames"),
        _share("share", "their share of all frames with label_1 (with the unit time: of their time)"),
    ),
)

SAMPLE = Table(
    "key of a sample",
    "OUT/key.csv (of fermedia sample)",
    "a frame of a sample: which face in which frame its coders see",
    (
        Column("sample", "text", "", "", "the sample's name, which its sheets have, too"),
        Column("number", "integer", "", "1 and more", "the frame's number in the sample"),
        Column("item", "text", "", "", "name of the item"),
        Column("frame", "integer", "", "0 and more", "the frame's number, as in the timeline"),
        Column("timestamp", "number", "s", "", "the frame's time; empty for photos"),
        Column("face_id", "integer", "", "0 and more", "the face"),
    ),
)

#: All tables, in the order of the documentation.
TABLES = (
    *(TIMELINE, MEASURES, SEGMENTS, BLINKS, PHOTOS, CUT),
    *(ITEMS, FACES, SUMMARY, PARTICIPANTS, CONDITIONS, COMPARISONS),
    *(EVENTS, WINDOWS, COURSES, FAILURES),
    *(AGREEMENT, CONFUSION, SAMPLE),
)

#: The columns that ``fermedia merge`` puts before those of a table.
MERGED = (
    Column("run", "text", "", "", "folder of results that the row comes from"),
    _ITEM,
)

TIMELINE_COLUMNS = TIMELINE.names
MEASURE_COLUMNS = MEASURES.names
BLINK_COLUMNS = BLINKS.names

#: The columns that participants and conditions are compared by, other than means and shares of emotions.
COMPARED = (_VALENCE, *_COMPARED)

#: The numeric measures of a face: all but quality.
MEASURED = (*(column.name for column in _FIGURES), *BLENDSHAPES)

#: The measures whose courses are computed, and whose changes: all but presence.
FOLLOWED = tuple(name for name in MEASURED if name != "presence")
SUMMARY_COLUMNS = SUMMARY.names
PHOTO_COLUMNS = PHOTOS.names
SEGMENT_COLUMNS = SEGMENTS.names
CUT_COLUMNS = CUT.names

#: The header row of ``data_dictionary.csv``.
DICTIONARY_COLUMNS = ("table", "files", "column", "type", "unit", "range", "meaning")


def dictionary(given: Sequence[Column] = ()) -> list[tuple[str, ...]]:
    """The rows of ``data_dictionary.csv``, without the header.

    Args:
        given: As for ``Table.having``; without, the columns of factors stand there as ``FACTOR``.
    """
    columns = [(table, table.having(given) if given else table.columns) for table in TABLES]
    return [(t.name, t.files, c.name, c.type, c.unit, c.range, c.meaning) for t, cs in columns for c in cs]
