"""What a run's page and its figures show of windows.csv and courses.csv."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from fermedia.columns import COURSES, FOLLOWED, ITEM, WINDOWS
from fermedia.errors import DataError
from fermedia.files import regular
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: The maximum number of labels (in a condition) on the page; the tables have all.
_MOST = 24

_VALUES = (*EMOTIONS, "valence")
_GROUP = ["label", "condition"]
_DRAWN = ("value", "low", "high", "change", "change_low", "change_high")


def read_windows(folder: Path) -> pd.DataFrame | None:
    """windows.csv of a folder of results; None if there is none. Raises DataError if it is damaged."""
    return _read(folder / "windows.csv", WINDOWS.names)


def read_courses(folder: Path) -> pd.DataFrame | None:
    """courses.csv of a folder of results; None if there is none. Raises DataError if it is damaged."""
    return _read(folder / "courses.csv", COURSES.names)


def unit_means(windows: pd.DataFrame) -> tuple[pd.DataFrame, str]:
    """Average the windows of each participant, or of each item if there are no participants.

    Returns:
        A row per label, condition and ``unit``, in the order of the events, with the means over the windows of each
        column that is a mean or a change, the number of ``windows`` and the summed ``seconds``, ``read`` (classified
        seconds) and ``length``; and what units are, "participants" or "items".
    """
    if (known := windows["participant"].notna()).any():
        rows, over = windows[known].assign(unit=windows["participant"]), "participants"
    else:
        rows, over = windows[windows["level"] == ITEM].assign(unit=windows["item"]), "items"
    rows = rows.assign(**{name: rows[name].fillna("") for name in _GROUP})
    rows = rows.assign(windows=1, read=rows["seconds"] * rows["judged"].fillna(0), length=rows["end"] - rows["begin"])
    means = [f"{name}_mean" for name in _VALUES] + [f"change_{name}" for name in (*_VALUES, *FOLLOWED)]
    how = dict.fromkeys(means, "mean") | dict.fromkeys(("windows", "seconds", "read", "length"), "sum")
    return rows.groupby([*_GROUP, "unit"], sort=False).agg(how).reset_index(), over


def run_events(folder: Path) -> dict[str, Any] | None:
    """The data of the section about events of a run's page; None if there are no windows."""
    windows = read_windows(folder)
    if windows is None or windows.empty:
        return None
    units, over = unit_means(windows)
    courses = read_courses(folder)
    groups = list(units.groupby(_GROUP, sort=False))
    return {
        "over": over,
        "whole": bool(windows["event"].isna().all()),
        "windows": [_window(label, condition, rows) for (label, condition), rows in groups[:_MOST]],
        "more": max(0, len(groups) - _MOST),
        "courses": [] if courses is None else _courses(courses),
    }


def _window(label: str, condition: str, rows: pd.DataFrame) -> dict[str, Any]:
    means = rows[[f"{e}_mean" for e in EMOTIONS]].mean()
    length = float(rows["length"].sum())
    return {
        "label": label,
        "condition": condition,
        "windows": int(rows["windows"].sum()),
        "units": len(rows),
        "share": min(1.0, float(rows["read"].sum()) / length) if length > 0 else None,
        "valence": _number(rows["valence_mean"].mean()),
        "change_valence": _number(rows["change_valence"].mean()),
        "means": [_number(value) for value in means],
    }


def _courses(table: pd.DataFrame) -> list[dict[str, Any]]:
    """For each label and condition the steps, and the drawn columns by measure, None where unknown."""
    table = table[table["measure"].isin(_VALUES)]
    table = table.assign(**{name: table[name].fillna("") for name in _GROUP})
    found = []
    for (label, condition), rows in table.groupby(_GROUP, sort=False):
        steps = rows.drop_duplicates("begin").sort_values("begin")
        one = {"label": label, "condition": condition, "over": rows["over"].iloc[0]}
        one |= {"begins": steps["begin"].tolist(), "ends": steps["end"].tolist()}
        one |= {"count": int(rows["count"].max()), "events": int(rows["events"].max())}
        for column in _DRAWN:
            wide = rows.pivot(index="begin", columns="measure", values=column).reindex(steps["begin"])
            one[column] = {name: [_number(v) for v in wide[name]] if name in wide else [] for name in _VALUES}
        found.append(one)
    return found[:_MOST]


def _number(value: float) -> float | None:
    return round(float(value), 4) if value == value else None


def _read(path: Path, names: tuple[str, ...]) -> pd.DataFrame | None:
    import pandas as pd

    if not path.is_file():
        return None
    texts = dict.fromkeys(("item", "level", *_GROUP, "participant", "trial", "emotion", "measure", "over"), str)
    try:
        table = pd.read_csv(regular(path), dtype=texts, keep_default_na=False, na_values=[""], encoding="utf-8")
        return table[list(names)].copy()  # in one piece: pandas warns of many columns that were read one by one
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, KeyError, pd.errors.ParserError) as error:
        raise DataError(f"{path}: is damaged ({str(error).splitlines()[0]}); run fermedia report again") from error
