"""The face networks: one contract for LiteRT and Google's package, and that both see the same."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib.util import find_spec
from typing import get_args

import cv2
import numpy as np
import pytest

from fermedia.errors import MissingExtraError
from fermedia.options import RUNTIMES
from fermedia.vision.detect import FaceDetector, _maker
from fermedia.vision.networks import SEEN, Candidate, Detector, LiteRTDetector, Network, _decoded, _merged
from tests.videos import resized
from tests.vision.scenes import bgr, scene

Make = Callable[[Network, float], Detector]

NETWORKS = get_args(Network)


@pytest.fixture(scope="module", params=RUNTIMES)
def make(request: pytest.FixtureRequest) -> Make:
    """How a runtime makes a network; skipped where the extra ``mediapipe`` is not installed."""
    if request.param == "mediapipe" and find_spec("mediapipe") is None:
        pytest.skip('needs the extra: pip install ".[mediapipe]"')
    return _maker(request.param)


@pytest.mark.parametrize("network", NETWORKS)
class TestContract:
    """What holds for every ``Detector``."""

    @pytest.fixture
    def detector(self, make: Make, network: Network) -> Iterator[Detector]:
        made = make(network, 0.5)
        yield made
        made.close()

    def test_a_face_is_seen_where_it_is(self, detector: Detector) -> None:
        image, (box,) = scene((300, 300), [(160, 140, 130)])
        (candidate,) = detector.propose(image)
        assert candidate.box.iou(box) > 0.5
        assert 0.5 <= candidate.score <= 1
        assert candidate.keypoints.shape == (6, 2)
        assert candidate.keypoints.dtype == np.float32
        right_eye, left_eye, nose, mouth, _, _ = candidate.keypoints
        assert right_eye[0] < nose[0] < left_eye[0]
        assert max(right_eye[1], left_eye[1]) < nose[1] < mouth[1]

    def test_several_come_surest_first(self, detector: Detector) -> None:
        image, boxes = scene((400, 400), [(110, 120, 120), (300, 290, 120)])
        candidates = detector.propose(image)
        assert len(candidates) == 2
        assert candidates[0].score >= candidates[1].score
        assert {max(range(2), key=lambda i: boxes[i].iou(candidate.box)) for candidate in candidates} == {0, 1}

    @pytest.mark.parametrize("side", [60, 128, 192, 777])
    def test_any_size_gives_pixels_of_that_size(self, detector: Detector, side: int) -> None:
        image, (box,) = scene((400, 400), [(200, 190, 180)])
        shown = resized(image, (side, side), cv2.INTER_AREA)
        (candidate,) = detector.propose(shown)
        assert candidate.box.width * 400 / side == pytest.approx(box.width, rel=0.15)

    def test_grey_is_the_same_in_three_colours(self, detector: Detector) -> None:
        gray = np.asarray(cv2.cvtColor(scene((300, 300), [(150, 150, 140)])[0], cv2.COLOR_RGB2GRAY), np.uint8)
        (flat,) = detector.propose(gray)
        (color,) = detector.propose(np.repeat(gray[:, :, None], 3, axis=2))
        assert flat.box == color.box

    def test_rows_may_be_padded(self, detector: Detector) -> None:
        image = scene((192, 192), [(96, 96, 90)])[0]
        padded = np.zeros((192, 256, 3), np.uint8)[:, :192]
        padded[...] = image
        assert [candidate.box for candidate in detector.propose(padded)] == [
            candidate.box for candidate in detector.propose(image)
        ]

    def test_nothing_is_seen_in_nothing(self, detector: Detector) -> None:
        assert detector.propose(np.full((200, 200, 3), 90, np.uint8)) == []

    def test_the_least_score_holds(self, make: Make, network: Network) -> None:
        image = scene((300, 300), [(160, 140, 130)])[0]
        (candidate,) = make(network, 0.3).propose(image)
        assert make(network, min(0.999, candidate.score + 0.001)).propose(image) == []

    def test_closed_it_says_so(self, make: Make, network: Network) -> None:
        made = make(network, 0.5)
        made.close()
        made.close()
        with pytest.raises(ValueError, match="closed"):
            made.propose(np.zeros((128, 128), np.uint8))


@pytest.mark.parametrize("network", NETWORKS)
def test_both_runtimes_see_the_same(network: Network) -> None:
    """Google's own code as the reference, to the last digits; its boxes are cut at the edge, and to quarter pixels."""
    pytest.importorskip("mediapipe")
    ours, theirs = LiteRTDetector(network, 0.3), _maker("mediapipe")(network, 0.3)
    side, seen, inside = SEEN[network], 0, 0
    for width in (12, 20, 30, 45, 60, 80, 100):
        for x, y in ((0.5, 0.5), (0.3, 0.6), (0.05, 0.4)):
            image = scene((side, side), [(x * side, y * side, width), (0.8 * side, 0.2 * side, width / 2)])[0]
            one, other = ours.propose(image), theirs.propose(image)
            assert len(one) == len(other)
            seen += len(one)
            for mine, google in zip(one, other, strict=True):
                assert mine.score == pytest.approx(google.score, abs=1e-5)
                assert mine.keypoints == pytest.approx(google.keypoints, abs=1e-2)
                box = mine.box
                if min(box.x, box.y) >= 0 and max(box.x + box.width, box.y + box.height) <= side:
                    assert [box.x, box.y] == pytest.approx([google.box.x, google.box.y], abs=0.26)
                    assert [box.width, box.height] == pytest.approx([google.box.width, google.box.height], abs=0.26)
                    inside += 1
    assert seen > inside > 10


def test_what_overlaps_becomes_the_mean_by_score() -> None:
    corners = np.zeros((3, 8, 2))
    corners[:, 0] = [[0, 0], [2, 0], [50, 50]]
    corners[:, 1] = [[10, 10], [12, 10], [60, 60]]
    corners[:, 2:] = corners[:, :1]
    first, second = _merged(corners, np.array([0.6, 0.9, 0.8], np.float32))
    assert first.score == pytest.approx(0.9)  # the surest's own, not a mean
    assert first.box.x == pytest.approx((0.6 * 0 + 0.9 * 2) / 1.5)
    assert first.box.width == pytest.approx(10)
    assert first.keypoints[0, 0] == pytest.approx(1.2)
    assert second.box.x == 50
    assert second.score == pytest.approx(0.8)


def test_boxes_of_no_extent_are_left_out() -> None:
    raw = np.zeros((1, 16), np.float32)
    candidates: list[Candidate] = _merged(
        _decoded(raw, np.array([[0.5, 0.5]], np.float32)), np.array([0.9], np.float32)
    )
    assert candidates == []


def test_the_whole_detector_finds_the_same_faces_by_either_runtime() -> None:
    pytest.importorskip("mediapipe")
    image, boxes = scene(
        (960, 540), [(140, 190, 200), (420, 130, 120), (620, 150, 80), (800, 140, 110), (420, 420, 90)]
    )
    with FaceDetector() as ours, FaceDetector(runtime="mediapipe") as theirs:
        one, other = ours.detect(bgr(image)), theirs.detect(bgr(image))
    assert len(one) == len(other) == len(boxes)
    widths = [abs(a.box.width - b.box.width) / b.box.width for a, b in zip(one, other, strict=True)]
    assert np.median(widths) < 0.015
    assert all(a.box.iou(b.box) > 0.9 for a, b in zip(one, other, strict=True))


def test_a_runtime_that_is_not_installed_says_how_to_get_it() -> None:
    if find_spec("mediapipe") is not None:
        pytest.skip("it is installed here")
    with pytest.raises(MissingExtraError, match=r'pip install "fermedia\[mediapipe\]"'):
        FaceDetector(runtime="mediapipe")


def test_an_unknown_runtime_is_refused() -> None:
    with pytest.raises(ValueError, match="litert, mediapipe, got 'tensorrt'"):
        FaceDetector(runtime="tensorrt")
