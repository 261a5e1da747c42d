"""Comparing people and conditions: means per participant, and per condition with intervals."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fermedia.columns import CONDITIONS, PARTICIPANTS
from fermedia.errors import UsageError
from fermedia.files import shown
from fermedia.outputs.summary import ALL_FACES
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

_NEEDED = ("item", "participant", "condition")
_MEASURES = ("mean", "share")
_FIGURES = [f"{emotion}_{measure}" for measure in _MEASURES for emotion in EMOTIONS]

#: Items that a complaint names before it only counts.
_NAMED = 3


@dataclass(frozen=True)
class Participants:
    """Who is seen in which item: a row per item and face, columns ``item, face_id, participant, condition``, text."""

    path: Path
    table: pd.DataFrame

    @classmethod
    def read(cls, path: Path) -> Participants:
        """From a CSV file with the columns item, participant, condition, and face_id where wanted.

        ``item`` is what summary.csv calls it, with backslashes if wanted; ``face_id`` a face of it, or "all", or empty
        for all. Columns may be parted by commas, semicolons or tabs. Raises UsageError, which says what is wrong and in
        which row.
        """
        import pandas as pd

        where = f"--participants {shown(path, whole=True)}"
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                first = file.readline()
                separator = max(",;\t", key=first.count)
                file.seek(0)
                table = pd.read_csv(file, sep=separator, dtype=str, keep_default_na=False, skipinitialspace=True)
        except OSError as error:
            raise UsageError(f"{where}: cannot be read ({error.strerror or error})") from error
        except ValueError as error:  # pandas' own errors are of this kind; so are those of decoding
            raise UsageError(f"{where}: not a table ({str(error).splitlines()[0]})") from error
        table = table.rename(columns=str.strip)
        if missing := [name for name in _NEEDED if name not in table]:
            raise UsageError(f"{where}: has no column {', '.join(missing)}; it needs {', '.join(_NEEDED)}")
        table = table.assign(face_id=table.get("face_id", ALL_FACES))[["item", "face_id", "participant", "condition"]]
        table = table.fillna("").apply(lambda column: column.str.strip())
        table["face_id"] = table["face_id"].replace("", ALL_FACES)
        _check(where, table)
        return cls(path, table)

    def compare(self, summary: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, str | None]:
        """participants.csv and conditions.csv (``columns.PARTICIPANTS``, ``CONDITIONS``), and what did not match.

        ``summary`` is summary.csv, ``face_id`` as text. A participant's figures are means over their items, weighted by
        judged time; if any item is of pictures, by the number of pictures and frames with a judged face. A condition's
        are means over its participants, each counting once, with Student's t interval of 95 %: it assumes that the
        participants are independent of each other. Faces that were never judged say nothing.
        """
        items = set(summary["item"].map(_plain))
        wanted = self.table.assign(item=[_named(item, items) for item in self.table["item"]])
        found = wanted.merge(summary.assign(item=summary["item"].map(_plain)), on=["item", "face_id"], how="left")
        unknown = found.loc[found["frames"].isna(), ["item", "face_id"]]
        left_out = sorted(items - set(wanted["item"]))
        participants = _participants(found.dropna(subset=["emotion"]))
        return participants, _conditions(participants), self._complaint(unknown, left_out)

    def _complaint(self, unknown: pd.DataFrame, left_out: list[str]) -> str | None:
        parts = []
        if len(unknown):
            names = [item if face == ALL_FACES else f"{item} face {face}" for item, face in unknown.to_numpy()]
            parts.append(f"names what the results do not hold: {_few(names)}")
        if left_out:
            parts.append(f"leaves out {_few(left_out)}")
        return f"{shown(self.path)} {', and '.join(parts)}" if parts else None


def t_quantile(freedom: int, probability: float = 0.975) -> float:
    """The quantile of Student's t for whole degrees of freedom, by bisection of its distribution function.

    The function is Abramowitz & Stegun's 26.7.3 and 26.7.4, exact up to rounding.
    """
    low, high = 0.0, math.tan(math.pi * (probability - 0.5)) + 1  # that of one degree, the widest
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_inside(middle, freedom) < 2 * probability - 1 else (low, middle)
    return (low + high) / 2


def _t_inside(t: float, freedom: int) -> float:
    """The probability that Student's t lies between -t and t."""
    angle = math.atan(t / math.sqrt(freedom))
    cosine = math.cos(angle)
    odd = freedom % 2
    total, term = 0.0, cosine if odd else 1.0
    for k in range(1 + odd, freedom, 2):
        total += term
        term *= cosine * cosine * k / (k + 1)
    inside = math.sin(angle) * total
    return 2 / math.pi * (angle + inside) if odd else inside


def _check(where: str, table: pd.DataFrame) -> None:
    if table.empty:
        raise UsageError(f"{where}: has no rows")
    for number, row in enumerate(table.itertuples(), 2):
        empty = [name for name in _NEEDED if not getattr(row, name)]
        if empty:
            raise UsageError(f"{where}: row {number} has no {' and no '.join(empty)}")
        if row.face_id != ALL_FACES and not row.face_id.isdigit():
            raise UsageError(f"{where}: row {number}: face_id must be a number or empty, got {row.face_id!r}")
    for item, rows in table.groupby("item"):
        if rows["face_id"].duplicated().any() or (ALL_FACES in set(rows["face_id"]) and len(rows) > 1):
            raise UsageError(f"{where}: {item} is there twice; tell its faces apart by face_id")


def _participants(found: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for (participant, condition), items in found.groupby(["participant", "condition"], sort=False):
        timed = items["seconds"].notna().all()
        weight = (items["seconds"] if timed else items["frames_with_face"]) * items["judged"]
        weight = weight if weight.sum() > 0 else weight * 0 + 1
        means = items[_FIGURES].mul(weight, axis=0).sum() / weight.sum()
        about = {"participant": participant, "condition": condition, "items": items["item"].nunique()}
        seconds = round(float(weight.sum()), 6) if timed else math.nan
        rows.append(about | {"seconds": seconds} | means.round(6).to_dict())
    return pd.DataFrame(rows, columns=list(PARTICIPANTS.names))


def _conditions(participants: pd.DataFrame) -> pd.DataFrame:
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for condition, people in participants.groupby("condition", sort=False):
        count = len(people)
        for measure in _MEASURES:
            for emotion in EMOTIONS:
                values = people[f"{emotion}_{measure}"].astype(float)
                value, sd = float(values.mean()), float(values.std())  # NaN for one
                half = t_quantile(count - 1) * sd / math.sqrt(count) if count > 1 else math.nan
                numbers = {"value": value, "sd": sd, "low": value - half, "high": value + half}
                about = {"condition": condition, "measure": measure, "emotion": emotion, "participants": count}
                rows.append(about | {name: round(number, 6) for name, number in numbers.items()})
    return pd.DataFrame(rows, columns=list(CONDITIONS.names))


def _plain(item: str) -> str:
    """An item's name without what makes it safe in a cell, or what a shell adds."""
    return item.removeprefix("./").rstrip("/")


def _named(item: str, items: set[str]) -> str:
    """What an item is called that somebody may have named with the strokes of Windows' paths."""
    name, turned = _plain(item), _plain(item.replace("\\", "/"))
    return turned if turned in items and name not in items else name


def _few(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
