"""Comparison of participants: their means, those of levels of factors, and differences within participants."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any

from fermedia.columns import COMPARED, COMPARISONS, CONDITIONS, FACE, PARTICIPANTS, Column, given_columns
from fermedia.study.participants import ALL_FACES, Participants
from fermedia.types import EMOTIONS

if TYPE_CHECKING:
    import pandas as pd

#: The columns of ``PARTICIPANTS`` that are weighted by the classified time; the others by the measured time.
_CLASSIFIED = ["valence_mean", *(f"{emotion}_{kind}" for kind in ("mean", "share") for emotion in EMOTIONS)]

#: The columns to compare, and their names in ``CONDITIONS``: a measure and an emotion, or a column.
_CALLED: dict[str, tuple[str, str | None]] = {
    f"{emotion}_{kind}": (kind, emotion) for kind in ("mean", "share") for emotion in EMOTIONS
}
_CALLED |= {column.name: (column.name, None) for column in COMPARED}

_COLUMNS: dict[str, Column] = {column.name: column for column in PARTICIPANTS.columns}


@dataclass(frozen=True)
class Groups:
    """The tables of ``--participants``, with the columns of ``columns.PARTICIPANTS``, CONDITIONS and COMPARISONS."""

    participants: pd.DataFrame
    conditions: pd.DataFrame
    comparisons: pd.DataFrame

    @classmethod
    def of(cls, given: Participants, known: pd.DataFrame, summary: pd.DataFrame) -> Groups:
        """Compute means per participant, per level of each factor, and differences within participants.

        A participant's values are means over their items, weighted by classified time; if some items are photos, by
        the number of photos and frames with a classified face. Measures are weighted by the time measured. Those of a
        level, or of a combination of levels, are means over its participants, each counting once, with intervals of
        95 % that assume independent participants (``interval``). Differences are between each two levels of a factor,
        over all levels of the others, of the participants who have both. Faces that were never classified are ignored.

        Args:
            given: The table of participants.
            known: Its rows with the names of the results (``Participants.matched``).
            summary: summary.csv (``tables.summary.read_summary``).
        """
        faces = summary["face_id"].astype(object).where(summary["level"] == FACE, ALL_FACES).astype(str)
        names = [name for name in summary if name not in (*given.factors, *given.copied, "participant")]
        found = known.merge(summary[names].assign(face_id=faces), on=["item", "face_id"])
        found = found.dropna(subset=["emotion"])
        finest = ["participant", *given.factors]
        participants = _participants(found, finest, given.copied)
        cells: list[tuple[str, ...]] = [(factor,) for factor in given.factors]
        if len(given.factors) != 1:  # all combinations; without factors all participants together
            cells.append(given.factors)
        rows = [row for levels in cells for row in _conditions(found, levels)]
        compared = [row for factor in given.factors for row in _comparisons(found, factor)]
        return cls(
            participants,
            _table(CONDITIONS.having(given_columns(given.factors)), rows),
            _table(COMPARISONS.columns, compared),
        )


def interval(values: Sequence[float], limits: tuple[float, float] | None = None) -> tuple[float, float]:
    """The 95 % confidence interval of a mean.

    Without limits it is Student's t. With limits it is computed for the logit of the mean and transformed back (the
    delta method; Korn and Graubard, 1998; Stata's default for proportions), so that it stays within them, and is
    longer on the side away from the nearer limit. Unlike Wilson's interval it uses how much participants differ, not
    the variance of yes or no.

    Args:
        values: One value for each participant.
        limits: The smallest and the largest possible value.

    Returns:
        Lower and upper end; NaN for fewer than two values, and where all are at the same limit.
    """
    count = len(values)
    if count < 2:
        return math.nan, math.nan
    mean = math.fsum(values) / count
    sd = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (count - 1))
    if sd <= 1e-12 * max(1.0, abs(mean)):  # nothing is known of how much others would differ
        return math.nan, math.nan
    half = t_quantile(count - 1) * sd / math.sqrt(count)
    if limits is None:
        return mean - half, mean + half
    bottom, size = limits[0], limits[1] - limits[0]
    p = (mean - bottom) / size
    if not 1e-12 < p < 1 - 1e-12:
        return math.nan, math.nan
    logit, half = math.log(p / (1 - p)), half / size / (p * (1 - p))
    return bottom + size * _logistic(logit - half), bottom + size * _logistic(logit + half)


def t_quantile(freedom: int, probability: float = 0.975) -> float:
    """The quantile of Student's t distribution for integer degrees of freedom, by bisection.

    The distribution function is Abramowitz & Stegun's 26.7.3 and 26.7.4, exact up to rounding.
    """
    if (freedom, probability) in _QUANTILES:
        return _QUANTILES[freedom, probability]
    low, high = 0.0, math.tan(math.pi * (probability - 0.5)) + 1  # that of one degree, the widest
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if _t_inside(middle, freedom) < 2 * probability - 1 else (low, middle)
    return _QUANTILES.setdefault((freedom, probability), (low + high) / 2)


#: Quantiles that were computed before: a table needs the same one many times.
_QUANTILES: dict[tuple[int, float], float] = {}


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


def _logistic(x: float) -> float:
    return 1 / (1 + math.exp(-x)) if x > 0 else math.exp(max(x, -700)) / (1 + math.exp(max(x, -700)))


def _participants(found: pd.DataFrame, keys: Sequence[str], copied: Sequence[str] = ()) -> pd.DataFrame:
    """A row for each combination of ``keys``: means over its items."""
    import pandas as pd

    columns = PARTICIPANTS.having(given_columns([*keys[1:], *copied]))
    if found.empty:
        return _table(columns, [])
    parts = [found[key] for key in keys]
    timed = found["seconds"].notna().groupby(parts, sort=False).transform("all")
    length = found["seconds"].where(timed, found["frames_with_face"])
    classified, measured = length * found["judged"], length * found.get("measured", math.nan)
    names = [name for name in _CALLED if name in found]
    values = found[names].astype("float64")
    weights = pd.DataFrame({name: classified if name in _CLASSIFIED else measured for name in names})
    weights = weights.where(values.notna() & weights.notna())
    sums = weights.groupby(parts, sort=False).transform("sum")
    weights = weights.where((sums > 0) | weights.isna(), 1.0)  # equal ones if all are 0
    groups = found.groupby(list(keys), sort=False)
    totals = weights.groupby(parts, sort=False).sum()
    means = (values * weights).groupby(parts, sort=False).sum() / totals.where(totals > 0)
    table = means.assign(
        items=groups["item"].nunique(),
        seconds=classified.where(timed).groupby(parts, sort=False).sum(min_count=1),
        **{name: groups[name].agg(_shared) for name in copied},
    )
    return _table(columns, table.reset_index())


def _shared(values: pd.Series) -> str:
    """The text that all values are, or an empty one."""
    return str(values.iloc[0]) if values.nunique() == 1 else ""


def _conditions(found: pd.DataFrame, factors: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of each combination of levels of ``factors``."""
    participants = _participants(found, ["participant", *factors])
    parts = participants.groupby(list(factors), sort=False) if factors else [((), participants)]
    for levels, people in parts:
        about = dict(zip(factors, levels, strict=True))
        for name, (measure, emotion) in _CALLED.items():
            values = people[name].astype(float).dropna()
            if values.empty:  # not measured
                continue
            low, high = interval(values.tolist(), _COLUMNS[name].limits)
            figures = {"value": values.mean(), "sd": values.std(), "low": low, "high": high}  # sd is NaN for one
            yield about | {"measure": measure, "emotion": emotion, "participants": len(values)} | figures


def _comparisons(found: pd.DataFrame, factor: str) -> Iterator[dict[str, Any]]:
    """The rows of each two levels of a factor."""
    participants = _participants(found, ["participant", factor]).set_index("participant")
    names = list(_CALLED)
    by_level = {level: rows[names].astype(float) for level, rows in participants.groupby(factor, sort=False)}
    for (first, ours), (second, theirs) in combinations(by_level.items(), 2):
        if ours.index.intersection(theirs.index).empty:
            continue
        both, other = ours.align(theirs, join="outer")
        for name, (measure, emotion) in _CALLED.items():
            known = both[name].notna() & other[name].notna()
            if not known.any():
                continue
            before, after = both.loc[known, name], other.loc[known, name]
            differences = after - before
            low, high = interval(differences.tolist())
            yield {
                "factor": factor,
                "first": first,
                "second": second,
                "measure": measure,
                "emotion": emotion,
                "participants": len(differences),
                "left_out": int((both[name].notna() ^ other[name].notna()).sum()),
                "first_value": before.mean(),
                "second_value": after.mean(),
                "difference": differences.mean(),
                "sd": differences.std(),
                "low": low,
                "high": high,
            }


def _table(columns: Sequence[Column], rows: pd.DataFrame | list[dict[str, Any]]) -> pd.DataFrame:
    """A table of rows, with numbers rounded to six decimals."""
    import pandas as pd

    table = pd.DataFrame(rows, columns=[column.name for column in columns])
    numbers = [column.name for column in columns if column.type == "number"]
    return table.astype(dict.fromkeys(numbers, "float64")).round(dict.fromkeys(numbers, 6))
