"""From frames to observations, with the real networks."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
import pytest

from fermedia.pictures import ArrayPicture
from fermedia.types import Frame, Observation
from fermedia.vision.classify import BATCH, Classifier
from fermedia.vision.detect import FaceDetector
from fermedia.vision.framing import crop_face
from fermedia.vision.observe import MOST_WAITING, observe
from fermedia.vision.track import Tracker
from tests.films import Image, background
from tests.vision.scenes import scene

PLACES = [(110, 130, 110), (320, 130, 90), (520, 130, 130)]


def crowd() -> Image:
    """Three faces that the network cannot take for the same: as they are, very dark, and blurred."""
    picture = scene((640, 260), PLACES)[0].astype(float)
    picture[:, 215:420] = picture[:, 215:420] * 0.4
    picture[:, 420:] = cv2.GaussianBlur(picture[:, 420:], (0, 0), 3)
    return picture.astype(np.uint8)


def frames(pictures: Sequence[Image]) -> Iterator[Frame]:
    for n, picture in enumerate(pictures):
        yield Frame(n, n / 25, ArrayPicture(picture), 0.04)


def test_each_face_gets_its_own_prediction(detector: FaceDetector, classifier: Classifier) -> None:
    ((frame, found),) = observe(frames([crowd()]), detector, classifier)
    assert found is not None
    assert [o.face_id for o in found] == [0, 1, 2]
    assert [round(o.face.box.center[0], -2) for o in found] == [500, 100, 300]  # largest first
    rows = np.stack([o.probabilities for o in found])
    assert len(np.unique(rows.round(3), axis=0)) == 3
    for observation in found:
        alone = classifier.predict([crop_face(frame.picture, observation.face.box)])[0]
        assert (observation.probabilities == alone).all()


def test_results_do_not_depend_on_the_frames_around(detector: FaceDetector, classifier: Classifier) -> None:
    rng = np.random.default_rng(0)
    pictures = [
        scene((320, 240), [(rng.integers(80, 240), 120, rng.integers(60, 130))][: int(rng.integers(0, 2))])[0]
        for _ in range(2 * BATCH + 5)
    ]
    together = list(observe(frames(pictures), detector, classifier))
    assert {len(found or ()) for _, found in together} == {0, 1}
    for n, picture in enumerate(pictures):
        ((_, alone),) = observe(frames([picture]), detector, classifier)
        same(alone, together[n][1])


def same(one: list[Observation] | None, other: list[Observation] | None) -> None:
    assert one is not None
    assert other is not None
    assert [o.face.box for o in one] == [o.face.box for o in other]
    for a, b in zip(one, other, strict=True):
        assert (a.probabilities == b.probabilities).all()


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, MOST_WAITING, MOST_WAITING + 3])
@pytest.mark.parametrize("with_face", [True, False])
def test_every_frame_once_and_in_order(
    detector: FaceDetector, classifier: Classifier, count: int, with_face: bool
) -> None:
    picture = scene((160, 120), [(80, 60, 60)] if with_face else [])[0]
    given = list(observe(frames([picture] * count), detector, classifier, Tracker()))
    assert [frame.index for frame, _ in given] == list(range(count))
    assert [len(found or ()) for _, found in given] == [int(with_face)] * count


def test_frames_that_are_not_sampled_pass_through(detector: FaceDetector, classifier: Classifier) -> None:
    class Unseen(ArrayPicture):
        def rgb(self, size: tuple[int, int] | None = None) -> Image:
            raise AssertionError("this frame was not to be looked at")

    picture = scene((160, 120), [(80, 60, 60)])[0]
    sampled = [n % 3 == 0 for n in range(20)]
    film = (Frame(n, n / 25, (ArrayPicture if look else Unseen)(picture), 0.04, look) for n, look in enumerate(sampled))
    given = list(observe(film, detector, classifier, Tracker()))
    assert [frame.index for frame, _ in given] == list(range(20))
    assert [found is not None for _, found in given] == sampled
    assert {o.face_id for _, found in given for o in found or ()} == {0}


def test_a_frame_without_a_face_has_an_empty_list(detector: FaceDetector, classifier: Classifier) -> None:
    ((_, found),) = observe(frames([background((160, 120))]), detector, classifier)
    assert found == []


@pytest.mark.parametrize("with_face", [True, False])
def test_frames_are_taken_as_they_are_asked_for(
    detector: FaceDetector, classifier: Classifier, with_face: bool
) -> None:
    picture = ArrayPicture(scene((160, 120), [(80, 60, 60)] if with_face else [])[0])
    taken = 0

    def endless() -> Iterator[Frame]:
        nonlocal taken
        while True:
            taken += 1
            yield Frame(taken - 1, taken / 25, picture)

    looked = observe(endless(), detector, classifier, Tracker())
    assert taken == 0
    for given in range(1, 3 * MOST_WAITING):
        next(looked)
        assert taken - given < MOST_WAITING


def test_ids_follow_people_and_sort_the_faces(detector: FaceDetector, classifier: Classifier) -> None:
    """The small face comes first; a larger one joins and would be first by size."""
    pictures = [
        scene((480, 240), [(100 + 4 * n, 120, 60)] + ([(360, 120, 110)] if n >= 3 else []))[0] for n in range(10)
    ]
    given = [found for _, found in observe(frames(pictures), detector, classifier, Tracker())]
    assert [[o.face_id for o in found or ()] for found in given] == [[0]] * 3 + [[0, 1]] * 7
    assert all((found or [])[0].face.box.width < 80 for found in given)


def test_an_error_in_the_frames_comes_out(detector: FaceDetector, classifier: Classifier) -> None:
    def broken() -> Iterator[Frame]:
        yield from frames([background((160, 120))] * 2)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        list(observe(broken(), detector, classifier))
