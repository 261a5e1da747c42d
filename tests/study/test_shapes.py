"""Mean blendshapes of groups: who counts, and for how much."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from fermedia.study.groups import interval
from fermedia.study.shapes import MOVEMENTS, GroupMeans, Means, add_emotions, condition_means, movements
from fermedia.tables.tables import complete
from fermedia.types import BLENDSHAPES, EMOTIONS
from tests.tables.test_segments import every, video

SMILE, JAW = MOVEMENTS.index("mouthSmile"), MOVEMENTS.index("jawOpen")


def shaped(timeline: pd.DataFrame, presence: float = 1.0, **shapes: object) -> pd.DataFrame:
    """The timeline with blendshapes: all 0 but these."""
    values = dict.fromkeys(BLENDSHAPES, 0.0) | {"presence": presence} | shapes
    return pd.concat([complete(timeline), pd.DataFrame(values, index=timeline.index)], axis=1)


def of(*timelines: pd.DataFrame, end: float | None = None) -> Means:
    means = GroupMeans()
    for timeline in timelines:
        add_emotions(means, timeline, end, 0)
    return means.means(EMOTIONS)


def test_both_sides_are_one_movement() -> None:
    assert len(MOVEMENTS) == len(set(MOVEMENTS))
    assert {"mouthSmile", "browDown", "jawOpen", "jawLeft", "jawRight", "mouthLeft"} <= set(MOVEMENTS)
    assert not {"mouthSmileLeft", "jaw", "mouth", "_neutral"} & set(MOVEMENTS)
    table = pd.DataFrame({name: [0.0] for name in BLENDSHAPES} | {"mouthSmileLeft": [0.2], "mouthSmileRight": [0.6]})
    assert movements(table)[0, SMILE] == pytest.approx(0.4)


def test_each_face_counts_once_for_each_emotion() -> None:
    """However long it is seen; its own mean is over time."""
    rows = [*every(0.1, (0, 8, "happy", 1.0)), *every(0.1, (0, 1, "happy", 1.0), (1, 2, "sad", 1.0), face_id=1)]
    timeline = complete(video(rows))
    smiles = np.where(timeline["face_id"] == 0, 0.9, 0.3)
    found = of(shaped(timeline, mouthSmileLeft=smiles, mouthSmileRight=smiles), end=8)
    assert found.groups == ("happy", "sad")
    assert found.counts == (2, 1)
    assert found.values[:, SMILE] == pytest.approx([0.6, 0.3])
    half = 12.7062 * 0.3 / (0.6 * 0.4)  # Student's t of one degree of freedom, and the standard error of the logit
    limits = [1 / (1 + np.exp(-(np.log(0.6 / 0.4) + side * half))) for side in (-1, 1)]
    assert [found.low[0, SMILE], found.high[0, SMILE]] == pytest.approx(limits, abs=1e-6)
    assert interval([0.9, 0.3], (0, 1)) == pytest.approx(limits, abs=1e-6)  # as in conditions.csv
    assert np.isnan(found.low[1]).all()


def test_a_moment_of_an_emotion_does_not_count() -> None:
    timeline = video(every(0.1, (0, 3, "happy", 1.0), (3, 3.4, "sad", 1.0), (3.4, 4, "happy", 1.0)))
    assert of(shaped(timeline), end=4).groups == ("happy",)


def test_unreliable_and_unclassified_faces_are_left_out() -> None:
    timeline = video(every(0.1, (0, 3, "happy", 1.0)))
    assert of(shaped(timeline, presence=0.3), end=3).groups == ()
    assert of(shaped(complete(timeline).assign(judged=False)), end=3).groups == ()


def test_every_face_of_a_photo_counts() -> None:
    timeline = video(every(1, (0, 4, "happy", 1.0))).assign(timestamp=np.nan, source=list("abcd"))
    found = of(shaped(timeline, jawOpen=[0.0, 0.2, 0.4, 0.6]))
    assert found.counts == (4,)
    assert found.values[0, JAW] == pytest.approx(0.3)


def test_the_movements_that_differ_most_come_first() -> None:
    values = np.zeros((2, len(MOVEMENTS)))
    values[0, JAW], values[1, SMILE] = 0.5, 0.8
    means = Means(("a", "b"), (3, 3), values, values, values)
    assert means.telling(2) == [SMILE, JAW]
    assert Means(("a",), (3,), values[:1], values[:1], values[:1]).telling(1) == [JAW]


def test_conditions_are_means_over_participants() -> None:
    table = pd.DataFrame({f"{name}_mean": [0.1, 0.3, 0.5] for name in BLENDSHAPES})
    table = table.assign(participant=list("abc"), condition=["film", "film", "talk"], seconds=[1.0, 2.0, 3.0])
    found = condition_means(table, ["condition"])
    assert found is not None
    assert (found.groups, found.counts) == (("film", "talk"), (2, 1))
    assert found.values[:, JAW] == pytest.approx([0.2, 0.5])
    assert condition_means(table.assign(**{f"{name}_mean": np.nan for name in BLENDSHAPES}), ["condition"]) is None
    assert condition_means(table[["participant", "condition"]], ["condition"]) is None
    assert condition_means(table, []) is None


def test_a_participant_with_several_sessions_counts_once() -> None:
    table = pd.DataFrame({f"{name}_mean": [0.1, 0.4, 0.5] for name in BLENDSHAPES})
    about = {"participant": ["a", "a", "b"], "condition": "film", "session": ["1", "2", "1"]}
    table = table.assign(**about, seconds=[1.0, 2.0, 3.0])
    found = condition_means(table, ["condition", "session"])
    assert found is not None
    assert (found.groups, found.counts) == (("film",), (2,))
    assert found.values[0, JAW] == pytest.approx((0.3 + 0.5) / 2)
    by_session = condition_means(table.drop(columns="condition"), ["session"])
    assert by_session is not None
    assert (by_session.groups, by_session.counts) == (("1", "2"), (2, 1))
