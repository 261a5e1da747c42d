"""From frames to observations, with the real networks."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image as PIL

import fermedia
from fermedia.errors import MediaError, ModelError, UsageError
from fermedia.images import ArrayImage
from fermedia.types import WHOLE, Frame, Observation, Part
from fermedia.vision.classify import BATCH, Classifier
from fermedia.vision.detect import DetectedFace, FaceDetector
from fermedia.vision.framing import crop_face
from fermedia.vision.observe import MOST_FRAMES, MOST_PIXELS, SEARCH_EVERY, Observer
from fermedia.vision.quality import Limits
from fermedia.vision.shots import is_another, make_thumbnail
from tests.videos import Pixels, astronaut, background, write_video
from tests.vision.scenes import scene

PLACES = [(110, 130, 110), (320, 130, 90), (520, 130, 130)]


def crowd() -> Pixels:
    """Three faces that the network cannot take for the same: as they are, very dark, and blurred."""
    image = scene((640, 260), PLACES)[0].astype(float)
    image[:, 215:420] = image[:, 215:420] * 0.4
    image[:, 420:] = cv2.GaussianBlur(image[:, 420:], (0, 0), 3)
    return image.astype(np.uint8)


def frames(images: Sequence[Pixels], rate: float = 25) -> Iterator[Frame]:
    for n, image in enumerate(images):
        yield Frame(n, n / rate, ArrayImage(image), 1 / rate)


def test_each_face_gets_its_own_prediction(observer: Observer, classifier: Classifier) -> None:
    ((frame, found),) = observer.observe(frames([crowd()]))
    assert found is not None
    assert [o.face_id for o in found] == [0, 1, 2]
    assert [round(o.face.box.center[0], -2) for o in found] == [500, 100, 300]  # largest first
    rows = np.stack([o.probabilities for o in found if o.probabilities is not None])
    assert len(rows) == 3
    assert len(np.unique(rows.round(5), axis=0)) == 3
    for observation in found:
        alone = classifier.predict([crop_face(frame.image, observation.face.box)])[0]
        assert (observation.probabilities == alone).all()


def test_what_a_search_finds_does_not_depend_on_the_frames_around(observer: Observer) -> None:
    rng = np.random.default_rng(0)
    places = [(float(rng.integers(80, 240)), 120.0, float(rng.integers(60, 130))) for _ in range(2 * BATCH + 5)]
    images = [scene((320, 240), [place] if rng.random() < 0.5 else [])[0] for place in places]
    together = list(observer.observe(frames(images, rate=1 / SEARCH_EVERY)))
    assert {len(found or ()) for _, found in together} == {0, 1}
    for n, image in enumerate(images):
        ((_, alone),) = observer.observe(frames([image]))
        same(alone, together[n][1])


def same(one: list[Observation] | None, other: list[Observation] | None) -> None:
    assert one is not None
    assert other is not None
    assert [o.face.box for o in one] == [o.face.box for o in other]
    for a, b in zip(one, other, strict=True):
        assert a.probabilities is not None
        assert b.probabilities is not None
        assert np.array_equal(a.probabilities, b.probabilities)


@pytest.mark.parametrize("count", [0, 1, BATCH - 1, BATCH, BATCH + 1, MOST_FRAMES, MOST_FRAMES + 3])
@pytest.mark.parametrize("with_face", [True, False])
def test_every_frame_once_and_in_order(observer: Observer, count: int, with_face: bool) -> None:
    image = scene((160, 120), [(80, 60, 60)] if with_face else [])[0]
    given = list(observer.observe(frames([image] * count)))
    assert [frame.index for frame, _ in given] == list(range(count))
    assert [len(found or ()) for _, found in given] == [int(with_face)] * count


def test_frames_that_are_not_sampled_pass_through(observer: Observer) -> None:
    class Unseen(ArrayImage):
        def rgb(self, size: tuple[int, int] | None = None, part: Part = WHOLE) -> Pixels:
            raise AssertionError("this frame was not to be looked at")

    image = scene((160, 120), [(80, 60, 60)])[0]
    sampled = [n % 3 == 0 for n in range(20)]
    video = (Frame(n, n / 25, (ArrayImage if look else Unseen)(image), 0.04, look) for n, look in enumerate(sampled))
    given = list(observer.observe(video))
    assert [frame.index for frame, _ in given] == list(range(20))
    assert [found is not None for _, found in given] == sampled
    assert {o.face_id for _, found in given for o in found or ()} == {0}


@pytest.mark.parametrize("follow", [True, False])
def test_no_grey_is_held_of_a_frame_that_was_looked_at(observer: Observer, follow: bool) -> None:
    """Of a video's frames that wait to be drawn and encoded, it would be two fifths of all that is held."""
    made = []

    class Watched(ArrayImage):
        def gray(self, part: Part = WHOLE) -> Pixels:
            gray = super().gray(part)
            made.append(weakref.ref(gray))
            return gray

    video = (Frame(n, n / 25, Watched(crowd()), 0.04, n % 2 == 0) for n in range(6))
    given = list(observer.observe(video, follow=follow))
    assert len(given) == 6
    assert len(made) >= 6
    assert [gray for gray in made if gray() is not None] == []


def test_a_frame_without_a_face_has_an_empty_list(observer: Observer) -> None:
    ((_, found),) = observer.observe(frames([background((160, 120))]))
    assert found == []


@pytest.mark.parametrize("with_face", [True, False])
def test_frames_are_taken_as_they_are_asked_for(observer: Observer, with_face: bool) -> None:
    image = ArrayImage(scene((160, 120), [(80, 60, 60)] if with_face else [])[0])
    taken = 0

    def endless() -> Iterator[Frame]:
        nonlocal taken
        while True:
            taken += 1
            yield Frame(taken - 1, taken / 25, image)

    looked = observer.observe(endless())
    assert taken == 0
    for given in range(1, 3 * MOST_FRAMES):
        next(looked)
        assert taken - given <= 2 * MOST_FRAMES


def test_ids_follow_people_and_sort_the_faces(observer: Observer) -> None:
    """The small face comes first; a larger one walks in from the side and would be first by size."""
    images = [scene((480, 240), [(100 + 4 * n, 120, 60), (570 - 20 * n, 120, 110)])[0] for n in range(12)]
    given = [found or [] for _, found in observer.observe(frames(images))]
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
    image = ArrayImage(background((3840, 2160)))
    taken = 0

    def endless() -> Iterator[Frame]:
        nonlocal taken
        while True:
            taken += 1
            yield Frame(taken - 1, taken / 25, image)

    with closing(observer.observe(endless())) as looked:
        for given in range(1, 12):
            next(looked)
            assert (taken - given) * image.width * image.height <= 2 * MOST_PIXELS + image.width * image.height


@pytest.mark.parametrize("threads", [1, 3])
def test_how_many_threads_look_changes_nothing(observer: Observer, classifier: Classifier, threads: int) -> None:
    images = [scene((480, 240), [(60 + 9 * n, 120, 60), (420 - 9 * n, 130, 80)])[0] for n in range(30)]
    expected = [found for _, found in observer.observe(frames(images))]
    with Observer(classifier, threads=threads) as other:
        given = [found for _, found in other.observe(frames(images))]
    assert any(len(found or ()) == 2 for found in expected)
    for one, two in zip(expected, given, strict=True):
        same(one, two)
        assert [o.face_id for o in one or ()] == [o.face_id for o in two or ()]


def test_measures_do_not_depend_on_threads_and_do_not_change_what_is_found(
    observer: Observer, classifier: Classifier
) -> None:
    images = [scene((480, 240), [(60 + 9 * n, 120, 60), (420 - 9 * n, 130, 80)])[0] for n in range(30)]
    plain = [found for _, found in observer.observe(frames(images))]
    ways = []
    for threads in (1, 3):
        with Observer(classifier, measures=True, landmarks=True, threads=threads) as other:
            ways.append([found for _, found in other.observe(frames(images))])
    for bare, one, two in zip(plain, *ways, strict=True):
        same(bare, one)
        same(one, two)
        for o, p in zip(one or (), two or (), strict=True):
            assert o.measures is not None
            assert p.measures is not None
            assert o.measures.pose.yaw == p.measures.pose.yaw
            assert np.array_equal(o.measures.blendshapes, p.measures.blendshapes)
            assert o.landmarks is not None
            assert p.landmarks is not None
            assert np.array_equal(o.landmarks, p.landmarks)


def test_faces_beyond_the_limits_are_followed_but_not_judged(classifier: Classifier) -> None:
    """With 1 degree either way next to nobody is read; what was measured of them stays."""
    images = [scene((480, 240), [(200 + n, 120, 90)])[0] for n in range(6)]
    with Observer(classifier, limits=Limits(0, 0.01, 0.01), measures=True) as observer:
        found = [o for _, seen in observer.observe(frames(images)) for o in seen or ()]
    assert len(found) == 6
    assert {o.face_id for o in found} == {0}
    for o in found:
        assert o.quality == "turned bent"
        assert o.probabilities is None
        assert o.measures is not None


#: Frames a second of which every fifth is searched.
FIVE = 5 / SEARCH_EVERY


class Counting(FaceDetector):
    """Remembers how often it searched."""

    searches = 0

    def detect(self, image: Any, *, still: bool = True, part: Part = WHOLE) -> list[DetectedFace]:
        Counting.searches += 1
        return super().detect(image, still=still, part=part)


@pytest.fixture
def counting(classifier: Classifier) -> Iterator[Observer]:
    Counting.searches = 0
    with Observer(classifier, Counting) as observer:
        yield observer


def test_between_searches_a_moving_face_is_followed(counting: Observer) -> None:
    images = [scene((480, 240), [(100 + 6 * n, 120, 80)])[0] for n in range(25)]
    given = [found or [] for _, found in counting.observe(frames(images, rate=FIVE))]
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
    assert not is_another(make_thumbnail(ArrayImage(one)), make_thumbnail(ArrayImage(two)))
    counts = [len(found or ()) for _, found in observer.observe(frames([one] * 3 + [two] * 9, rate=FIVE))]
    assert counts == [1] * 5 + [2] * 7


@pytest.mark.parametrize("begin", [5, 10])
def test_a_part_that_begins_with_a_search_gives_what_the_whole_gives(observer: Observer, begin: int) -> None:
    images = [scene((480, 240), [(60 + 9 * n, 120, 60), (420 - 9 * n, 130, 80)])[0] for n in range(18)]
    whole = [seen.faces or [] for seen in observer.detect(frames(images, rate=FIVE))]
    part = [seen.faces or [] for seen in observer.detect(islice(frames(images, rate=FIVE), begin, None))]
    assert [[face.box for face in faces] for faces in part] == [[face.box for face in faces] for faces in whole[begin:]]
    assert [[face.confidence for face in faces] for faces in part] == [
        [face.confidence for face in faces] for faces in whole[begin:]
    ]


def test_a_detector_that_fails_stops_everything(classifier: Classifier) -> None:
    class Failing(FaceDetector):
        seen = 0

        def follow(self, image: Any, faces: Any) -> list[DetectedFace] | None:
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

    image, taken = scene((160, 120), [(80, 60, 60)])[0], 0

    def video() -> Iterator[Frame]:
        nonlocal taken
        for frame in frames([image] * count):
            taken += 1
            yield frame

    with (
        Observer(Failing.load(), FaceDetector, threads=2) as observer,
        pytest.raises(RuntimeError, match="network is gone"),
    ):
        list(observer.observe(video()))
    assert taken <= 3 * MOST_FRAMES


def test_the_threads_that_detect_are_the_ones_that_classify(classifier: Classifier) -> None:
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

    images = [scene((160, 120), [(80, 60, 60)])[0]] * 60
    with Observer(Watched.load(), FaceDetector, threads=3) as observer:
        assert len(list(observer.observe(frames(images)))) == 60
    assert inside == {"observe"}


def test_a_model_that_is_missing_shows_at_once(classifier: Classifier) -> None:
    def missing() -> FaceDetector:
        raise ModelError("gone")

    with pytest.raises(ModelError, match="gone"):
        Observer(classifier, missing)


def test_a_region_leaves_the_other_faces_out(tmp_path: Path) -> None:
    """Two heads side by side, as in the tiles of a meeting; those in the region are found as without it."""
    head = astronaut()[0:240, 105:345]
    image = np.hstack([head, head[:, ::-1]])
    PIL.fromarray(image).save(tmp_path / "two.png")
    video = write_video(tmp_path / "two.mp4", [image] * 10)
    for path in (tmp_path / "two.png", video):
        columns = ["frame", "x", "y", "width", "height"]
        whole = fermedia.analyze(path)
        assert whole.groupby("frame").size().eq(2).all()
        wanted = whole[whole["x"] + whole["width"] / 2 >= 240]
        middle = int((wanted["x"] + wanted["width"] / 2).iloc[0])
        # The tile; more than there is; with its edge, and as a thin strip, through the middle of the face.
        for region in ("240,0,240,240", "241,0,9999,9999", f"{middle - 2},0,90,240", f"{middle - 2},0,5,240"):
            right = fermedia.analyze(path, region=region)
            assert right[columns].to_numpy() == pytest.approx(wanted[columns].to_numpy(), abs=5), region
            assert (right["emotion"].to_numpy() == wanted["emotion"].to_numpy()).all()
        assert fermedia.analyze(path, region="0,200,480,40")["success"].eq(False).all()
        with pytest.raises(MediaError, match=rf"{path.name if path == video else ''}.*region 480,0,9,9 lies outside"):
            fermedia.analyze(path, region="480,0,9,9")
    for wrong in ("1,2,3", "a,0,1,1", "0,0,0,5"):
        with pytest.raises(UsageError, match="region must be X,Y,WIDTH,HEIGHT"):
            fermedia.analyze(video, region=wrong)


def test_in_a_region_small_faces_are_found(tmp_path: Path) -> None:
    """Small faces in the tiles of a meeting, which a search of the whole image misses."""
    image = scene((1280, 720), [(x, y, 32) for x in (320, 960) for y in (180, 540)])[0]
    video = write_video(tmp_path / "tiles.mp4", [image] * 3)
    assert not fermedia.analyze(video)["success"].any()
    tile = fermedia.analyze(video, region="640,0,640,360")
    assert tile["success"].all()
    assert tile[["x", "y"]].to_numpy() + tile[["width", "height"]].to_numpy() / 2 == pytest.approx(
        np.tile([960, 180], (3, 1)), abs=10
    )
