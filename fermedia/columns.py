"""Every column of every table that fermedia writes: name, type, unit, range, meaning. The one place that says so.

``data_dictionary.csv`` in a folder of results and the page docs/columns.md are made from this, and so is the order of
the columns in the tables.
"""

from __future__ import annotations

from dataclasses import dataclass

from fermedia.types import EMOTIONS


@dataclass(frozen=True)
class Column:
    """A column. ``type`` is ``text``, ``integer``, ``number`` or ``0/1``; ``unit`` and ``range`` may be empty."""

    name: str
    type: str
    unit: str
    range: str
    meaning: str


@dataclass(frozen=True)
class Table:
    """A table: its name, the files that hold it (below the results' folder), what a row is, and its columns."""

    name: str
    files: str
    row: str
    columns: tuple[Column, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in their order."""
        return tuple(column.name for column in self.columns)


def _seconds(name: str, meaning: str) -> Column:
    return Column(name, "number", "s", "0 and more", meaning)


def _share(name: str, meaning: str) -> Column:
    return Column(name, "number", "", "0..1", meaning)


def _pixels(name: str, meaning: str, range: str) -> Column:
    return Column(name, "number", "px", range, meaning)


_EMOTIONS = ", ".join(EMOTIONS)
_IN_FILM = "empty for pictures"
_MEANS = tuple(
    _share(f"{e}_mean", f"mean probability of {e} over the judged time; the seven sum to 1; empty where never judged")
    for e in EMOTIONS
)
_SHARES = tuple(
    _share(
        f"{e}_share",
        f"share of the judged time in which {e} was the most probable after smoothing (--smooth); the seven sum to 1",
    )
    for e in EMOTIONS
)

TIMELINE = Table(
    "timeline",
    "items/ITEM/timeline.csv (and .parquet with --format parquet)",
    "a face in an analysed frame; an analysed frame without a face has one row of its own",
    (
        Column("source", "text", "", "", "the film's path as it was found; for pictures the file's name"),
        Column("frame", "integer", "", "0 and more", "number among the decoded frames, whatever the sampling"),
        Column(
            "timestamp",
            "number",
            "s",
            "",
            f"when the frame is shown, from the film's presentation time stamps; {_IN_FILM}",
        ),
        Column(
            "face_id",
            "integer",
            "",
            "0 and more",
            "the person up to the next cut; in a picture the rank by size, 0 the largest; empty without a face",
        ),
        Column("success", "0/1", "", "0, 1", "1 where there is a face"),
        _share("confidence", "the detector's score"),
        _pixels(
            "x",
            "left edge of the box in the upright picture, pixels square (of a film: the annotated one), to the right",
            "may be negative",
        ),
        _pixels("y", "top edge of the box, downwards", "may be negative"),
        _pixels("width", "width of the box", "above 0"),
        _pixels("height", "height of the box", "above 0"),
        Column("judged", "0/1", "", "0, 1", "0 where a face is too small to be read (--min-face), or there is none"),
        *(_share(e, f"probability of {e} in this frame alone, not smoothed; the seven sum to 1") for e in EMOTIONS),
        Column("emotion", "text", "", _EMOTIONS, "the most probable emotion; empty where not judged"),
        Column("valence", "number", "", "-1..1", "happy minus the strongest of angry, disgust, fear, sad"),
    ),
)

SUMMARY = Table(
    "summary",
    "summary.csv",
    "a face of an item; then all faces of the item together (face_id all), each face's time counted on its own",
    (
        Column("item", "text", "", "", "the item's folder below items/, as its recording is called"),
        Column("face_id", "text", "", "0 and more, all", "as in the timeline, or all"),
        Column("frames", "integer", "", "0 and more", "analysed frames of the item"),
        Column("frames_with_face", "integer", "", "0 and more", "those in which this face (all: any face) was seen"),
        _share("coverage", "share of the analysed time in which this face (all: any face) was seen"),
        _seconds("first", f"time of the first frame with it; {_IN_FILM}"),
        _seconds("last", f"time of the last frame with it; {_IN_FILM}"),
        _seconds("seconds", f"for how long it was seen; {_IN_FILM}"),
        _share("judged", "share of its time in which it was large enough to be judged; empty if never seen"),
        Column("emotion", "text", "", _EMOTIONS, "the one with the largest mean; empty where never judged"),
        *_MEANS,
        *_SHARES,
    ),
)

SEGMENTS = Table(
    "segments",
    "items/FILM/segments.csv",
    "a stretch of time in which a face showed an emotion (docs/method.md says how it is found)",
    (
        Column("source", "text", "", "", "as in the timeline"),
        Column("face_id", "integer", "", "0 and more", "the person up to the next cut, as in the timeline"),
        Column("emotion", "text", "", _EMOTIONS, "what the face showed, as the network reads it"),
        _seconds("begin", "when it begins: the time of its first frame"),
        _seconds("end", "time of the first analysed frame that is no longer part of it, or the film's end"),
        _seconds("duration", "how long it lasts: end minus begin"),
        _share("mean", "mean smoothed probability of the emotion over the judged time in between"),
        _share("peak", "the largest smoothed probability of the emotion"),
        _seconds("peak_time", "time of the frame with the peak"),
    ),
)

FAILURES = Table(
    "failures",
    "failures.csv",
    "something that could not be read or written",
    (
        Column("item", "text", "", "", "the item, or the picture within one"),
        Column("stage", "text", "", "open, read, decode, sound, write, disk, internal", "what was being tried"),
        Column("error", "text", "", "", "what went wrong, in words"),
    ),
)

PARTICIPANTS = Table(
    "participants",
    "participants.csv (with --participants)",
    "a participant in a condition, over all of their items, weighted by the time judged",
    (
        Column("participant", "text", "", "", "as in the file given"),
        Column("condition", "text", "", "", "as in the file given"),
        Column("items", "integer", "", "1 and more", "items with a judged face"),
        _seconds("seconds", "judged time; empty if any of the items are pictures, which then count by their number"),
        *_MEANS,
        *_SHARES,
    ),
)

CONDITIONS = Table(
    "conditions",
    "conditions.csv (with --participants)",
    "a measure in a condition, over its participants, each of whom counts once",
    (
        Column("condition", "text", "", "", "as in the file given"),
        Column("measure", "text", "", "mean, share", "of the participants' columns EMOTION_mean or EMOTION_share"),
        Column("emotion", "text", "", _EMOTIONS, "of which emotion"),
        Column("participants", "integer", "", "1 and more", "how many, with a judged face"),
        _share("value", "mean over the participants"),
        Column("sd", "number", "", "0 and more", "standard deviation over the participants (n - 1); empty for one"),
        Column("low", "number", "", "", "lower end of the 95 % interval of the mean (Student's t); empty for one"),
        Column("high", "number", "", "", "upper end of it"),
    ),
)

#: All tables, in the order in which they are documented.
TABLES = (TIMELINE, SEGMENTS, SUMMARY, PARTICIPANTS, CONDITIONS, FAILURES)

#: The columns that ``fermedia merge`` puts before those of a table.
MERGED = (
    Column("run", "text", "", "", "the folder of results that the row comes from"),
    Column("item", "text", "", "", "the item's folder below items/, as its recording is called"),
)

TIMELINE_COLUMNS = TIMELINE.names
SUMMARY_COLUMNS = SUMMARY.names
SEGMENT_COLUMNS = SEGMENTS.names

#: The first row of ``data_dictionary.csv``.
DICTIONARY_COLUMNS = ("table", "files", "column", "type", "unit", "range", "meaning")


def dictionary() -> list[tuple[str, ...]]:
    """The rows of ``data_dictionary.csv``, without the first."""
    return [(t.name, t.files, c.name, c.type, c.unit, c.range, c.meaning) for t in TABLES for c in t.columns]
