"""From frames to observations, with the real networks."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from typing import Any

import cv2
import numpy as np
import pytest

from fermedia.errors import ModelError
from fermedia.pictures import ArrayPicture
from fermedia.types import WHOLE, Frame, Observation, Part
from fermedia.vision.classify import BATCH, Classifier
from fermedia.vision.detect import FaceDetector, Found
from fermedia.vision.framing import crop_face
from fermedia.vision.observe import MOST_FRAMES, MOST_PIXELS, SEARCH_EVERY, Observer
from fermedia.vision.shots import is_another, signature
from tests.films import Image, background
from tests.vision.scenes import scene

PLACES = [(110, 130, 110), (320, 130, 90), (520, 130, 130)]


def crowd() -> Image:
    """Three faces that the network cannot take for the same: as they are, very dark, and blurred."""
    picture = scene((640, 260), PLACES)[0].astype(float)
    picture[:, 215:420] = picture[:, 215:420] * 0.4
    picture[:, 420:] = cv2.GaussianBlur(picture[:, 420:], (0, 0), 3)
    return picture.astype(np.uint8)


def frames(pictures: Sequence[Image], rate: float = 25) -> Iterator[Frame]:
    for n, picture in enumerate(pictures):
        yield Frame(n, n / rate, ArrayPicture(picture), 1 / rate)


def test_each_face_gets_its_own_prediction(observer: Observer, classifier: Classifier) -> None:
    ((frame, found),) = observer.observe(frames([crowd()]))
    assert found is not None
    assert [o.face_id for o in found] == [0, 1, 2]
    assert [round(o.face.box.center[0], -2) for o in found] == [500, 100, 300]  # largest first
    rows = np.stack([o.probabilities for o in found])
    assert len(np.unique(rows.round(5), axis=0)) == 3
    for observation in found:
        alone = classifier.predict([crop_face(frame.picture, observation.face.box)])[0]
        assert (observation.probabilities == alone).all()


def test_what_a_search_finds_does_not_depend_on_the_frames_around(observer: Observer) -> None:
    rng = np.random.default_rng(0)
    pictures = [
        scene((320, 240), [(rng.integers(80, 240), 120, rng.integers(60, 130))][: int(rng.integers(0, 2))])[0]
        for _ in range(2 * BATCH + 5)
    ]
    together = list(observer.observe(frames(pictures, rate=1 / SEARCH_EVERY)))
    assert {len(found or ()) for _, found in together} == {0, 1}
    for n, picture in enumerate(pictures):
        ((_, alone),) = observer.observe(frames([picture]))
        same(alone, together[n][1])


def same(one: list[Observation] | None, other: list[Observation] | None) -> None:
    assert one is not None
    assert other is not None
    assert [o.face.box for o in one] == [o.face.box for o in other]
    for a, b in zip(one, other, strict=True):
        assert (a.probabilities == b.probabilities).all()


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, MOST_FRAMES, MOST_FRAMES + 3])
@pytest.mark.parametrize("with_face", [True, False])
def test_every_frame_once_and_in_order(observer: Observer, count: int, with_face: bool) -> None:
    picture = scene((160, 120), [(80, 60, 60)] if with_face else [])[0]
    given = list(observer.observe(frames([picture] * count)))
    assert [frame.index for frame, _ in given] == list(range(count))
    assert [len(found or ()) for _, found in given] == [int(with_face)] * count


def test_frames_that_are_not_sampled_pass_through(observer: Observer) -> None:
    class Unseen(ArrayPicture):
        def rgb(self, size: tuple[int, int] | None = None) -> Image:
            raise AssertionError("this frame was not to be looked at")

    picture = scene((160, 120), [(80, 60, 60)])[0]
    sampled = [n % 3 == 0 for n in range(20)]
    film = (Frame(n, n / 25, (ArrayPicture if look else Unseen)(picture), 0.04, look) for n, look in enumerate(sampled))
    given = list(observer.observe(film))
    assert [frame.index for frame, _ in given] == list(range(20))
    assert [found is not None for _, found in given] == sampled
    assert {o.face_id for _, found in given for o in found or ()} == {0}


@pytest.mark.parametrize("follow", [True, False])
def test_no_grey_is_held_of_a_frame_that_was_looked_at(observer: Observer, follow: bool) -> None:
    """Of a film's frames that wait to be drawn and encoded, it would be two fifths of all that is held."""
    made = []

    class Watched(ArrayPicture):
        def gray(self, part: Part = WHOLE) -> Image:
            gray = super().gray(part)
            made.append(weakref.ref(gray))
            return gray

    film = (Frame(n, n / 25, Watched(crowd()), 0.04, n % 2 == 0) for n in range(6))
    given = list(observer.observe(film, follow=follow))
    assert len(given) == 6
    assert len(made) >= 6
    assert [gray for gray in made if gray() is not None] == []


def test_a_frame_without_a_face_has_an_empty_list(observer: Observer) -> None:
    ((_, found),) = observer.observe(frames([background((160, 120))]))
    assert found == []


@pytest.mark.parametrize("with_face", [True, False])
def test_frames_are_taken_as_they_are_asked_for(observer: Observer, with_face: bool) -> None:
    picture = ArrayPicture(scene((160, 120), [(80, 60, 60)] if with_face else [])[0])
    taken = 0

    def endless() -> Iterator[Frame]:
        nonlocal taken
        while True:
            taken += 1
            yield Frame(taken - 1, taken / 25, picture)

    looked = observer.observe(endless())
    assert taken == 0
    for given in range(1, 3 * MOST_FRAMES):
        next(looked)
        assert taken - given <= 2 * MOST_FRAMES


def test_ids_follow_people_and_sort_the_faces(observer: Observer) -> None:
    """The small face comes first; a larger one walks in from the side and would be first by size."""
    pictures = [scene((480, 240), [(100 + 4 * n, 120, 60), (570 - 20 * n, 120, 110)])[0] for n in range(12)]
    given = [found or [] for _, found in observer.observe(frames(pictures))]
    alone = sum(len(found) == 1 for found in given)
    assert 0 < alone < 12
    assert [[o.face_id for o in found] for found in given] == [[0]] * alone + [[0, 1]] * (12 - alone)
    assert all(found[0].face.box.width < 80 for found in given)
    assert given[-1][1].face.box.width > 90


def test_an_error_in_the_frames_comes_out(observer: Observer) -> None:
    def broken() -> Iterator[Frame]:
        yield from frames([background((160, 120))] * 2)
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="disk"):
        list(observer.observe(broken()))


def test_fewer_large_frames_are_held(observer: Observer) -> None:
    picture = ArrayPicture(background((3840, 2160)))
    taken = 0

    def endless() -> Iterator[Frame]:
        nonlocal taken
        while True:
            taken += 1
            yield Frame(taken - 1, taken / 25, picture)

    with closing(observer.observe(endless())) as looked:
        for given in range(1, 12):
            next(looked)
            assert (taken - given) * picture.width * picture.height <= 2 * MOST_PIXELS + picture.width * picture.height


@pytest.mark.parametrize("threads", [1, 3])
def test_how_many_threads_look_changes_nothing(observer: Observer, classifier: Classifier, threads: int) -> None:
    pictures = [scene((480, 240), [(60 + 9 * n, 120, 60), (420 - 9 * n, 130, 80)])[0] for n in range(30)]
    expected = [found for _, found in observer.observe(frames(pictures))]
    with Observer(classifier, threads=threads) as other:
        given = [found for _, found in other.observe(frames(pictures))]
    assert any(len(found or ()) == 2 for found in expected)
    for one, two in zip(expected, given, strict=True):
        same(one, two)
        assert [o.face_id for o in one or ()] == [o.face_id for o in two or ()]


#: Frames a second of which every fifth is searched.
FIVE = 5 / SEARCH_EVERY


class Counting(FaceDetector):
    """Remembers how often it searched."""

    searches = 0

    def detect(self, image: Any, *, still: bool = True) -> list[Found]:
        Counting.searches += 1
        return super().detect(image, still=still)


@pytest.fixture
def counting(classifier: Classifier) -> Iterator[Observer]:
    Counting.searches = 0
    with Observer(classifier, Counting) as observer:
        yield observer


def test_between_searches_a_moving_face_is_followed(counting: Observer) -> None:
    pictures = [scene((480, 240), [(100 + 6 * n, 120, 80)])[0] for n in range(25)]
    given = [found or [] for _, found in counting.observe(frames(pictures, rate=FIVE))]
    assert Counting.searches == 5
    assert [len(found) for found in given] == [1] * 25
    middles = [found[0].face.box.center[0] for found in given]
    assert np.diff(middles) == pytest.approx(6, abs=3.5)  # 4 % of the face's width


def test_a_face_that_is_lost_or_a_new_shot_is_searched_for_at_once(counting: Observer) -> None:
    here, gone, there, both = (
        scene((480, 240), [(x, 120, 80) for x in xs])[0] for xs in ((120,), (), (330,), (120, 330))
    )
    for second, faces in ((gone, 0), (there, 1), (both, 2)):
        Counting.searches = 0
        given = [found or [] for _, found in counting.observe(frames([here, here, second, second]))]
        assert Counting.searches == 2
        assert [len(found) for found in given] == [1, 1, faces, faces]


def test_who_appears_is_seen_at_the_next_search(observer: Observer) -> None:
    one, two = (scene((960, 480), faces)[0] for faces in ([(240, 240, 180)], [(240, 240, 180), (720, 240, 90)]))
    two[:, :480] = one[:, :480]
    assert not is_another(signature(ArrayPicture(one)), signature(ArrayPicture(two)))
    counts = [len(found or ()) for _, found in observer.observe(frames([one] * 3 + [two] * 9, rate=FIVE))]
    assert counts == [1] * 5 + [2] * 7


@pytest.mark.parametrize("begin", [5, 10])
def test_a_part_that_begins_with_a_search_gives_what_the_whole_gives(observer: Observer, begin: int) -> None:
    pictures = [scene((480, 240), [(60 + 9 * n, 120, 60), (420 - 9 * n, 130, 80)])[0] for n in range(18)]
    whole = [seen.faces or [] for seen in observer.see(frames(pictures, rate=FIVE))]
    part = [seen.faces or [] for seen in observer.see(islice(frames(pictures, rate=FIVE), begin, None))]
    assert [[face.box for face in faces] for faces in part] == [[face.box for face in faces] for faces in whole[begin:]]
    assert [[face.confidence for face in faces] for faces in part] == [
        [face.confidence for face in faces] for faces in whole[begin:]
    ]


def test_a_detector_that_fails_stops_everything(classifier: Classifier) -> None:
    class Failing(FaceDetector):
        seen = 0

        def follow(self, image: Any, faces: Any) -> list[Found] | None:
            Failing.seen += 1
            if Failing.seen == 50:
                raise RuntimeError("face 50")
            return super().follow(image, faces)

    taken = 0

    def endless() -> Iterator[Frame]:
        nonlocal taken
        for frame in frames([background((160, 120))] * 10_000):
            taken += 1
            yield frame

    with Observer(classifier, Failing, threads=2) as observer, pytest.raises(RuntimeError, match="face 50"):
        list(observer.observe(endless()))
    assert taken <= 1.5 * 50 + 2 * MOST_FRAMES


@pytest.mark.parametrize("count", [4, 10_000])
def test_a_network_that_fails_stops_everything(classifier: Classifier, count: int) -> None:
    """Whether it is asked meanwhile or at the end."""

    class Failing(Classifier):
        def predict(self, faces: Any, mirrored: bool = False) -> Any:
            raise RuntimeError("the network is gone")

    picture, taken = scene((160, 120), [(80, 60, 60)])[0], 0

    def film() -> Iterator[Frame]:
        nonlocal taken
        for frame in frames([picture] * count):
            taken += 1
            yield frame

    with (
        Observer(Failing.load(), FaceDetector, threads=2) as observer,
        pytest.raises(RuntimeError, match="network is gone"),
    ):
        list(observer.observe(film()))
    assert taken <= 3 * MOST_FRAMES


def test_the_threads_that_look_are_the_ones_that_judge(classifier: Classifier) -> None:
    """More threads than processors would wait for each other."""
    inside, lock = set(), threading.Lock()

    class Watched(Classifier):
        def predict(self, faces: Any, mirrored: bool = False) -> Any:
            assert lock.acquire(blocking=False)  # never two at a time
            inside.add(threading.current_thread().name.rsplit("_")[0])
            try:
                return super().predict(faces, mirrored)
            finally:
                lock.release()

    pictures = [scene((160, 120), [(80, 60, 60)])[0]] * 60
    with Observer(Watched.load(), FaceDetector, threads=3) as observer:
        assert len(list(observer.observe(frames(pictures)))) == 60
    assert inside == {"look"}


def test_a_model_that_is_missing_shows_at_once(classifier: Classifier) -> None:
    def missing() -> FaceDetector:
        raise ModelError("gone")

    with pytest.raises(ModelError, match="gone"):
        Observer(classifier, missing)
