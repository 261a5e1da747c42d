"""How near the face mesh and what is read off it come to the truth, and what they cost. Prints Markdown tables.

    python scripts/measure_mesh.py                       the package's portraits, turned, mirrored and painted
    python scripts/measure_mesh.py VIDEO_OR_PHOTO ...     and yours

With the extra ``mediapipe`` all are compared with MediaPipe's own Face Landmarker. Costs are processor time of one
thread, so that a busy machine changes them little.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import cv2
import measuring
import numpy as np
from numpy.typing import NDArray

from fermedia.images import as_image
from fermedia.media.find import VIDEO_SUFFIXES
from fermedia.media.photos import read_photo
from fermedia.media.video import VideoReader
from fermedia.options import DRAWN
from fermedia.render.features import features
from fermedia.render.patches import blend_yuv420, bt709, to_yuv
from fermedia.types import BLENDSHAPES, Face, Image, Observation
from fermedia.vision.detect import FaceDetector
from fermedia.vision.measures import measured
from fermedia.vision.mesh import FaceMesh
from fermedia.vision.pose import pose_of, rotation_by
from tests.vision.canonical import ANGLES, seen, turned
from tests.vision.painting import measures_of, mesh_of, portrait, rolled, with_lids, with_look

PORTRAITS = {name: portrait(name) for name in ("collins", "hopper")}

#: Every so many frames of a video are looked at.
EVERY = 8


def main() -> None:
    """Print all tables."""
    parser = measuring.parser(__doc__)
    parser.add_argument("files", type=Path, nargs="*")
    files = parser.parse_args().files
    with FaceDetector() as detector, FaceMesh() as reader:
        cost(reader, detector)
        drawing(reader, detector)
        photographs()
        portraits(reader, detector)
        lids(reader, detector)
        irises(reader, detector)
        for path in files:
            following(path, reader, detector)
        if find_spec("mediapipe") is not None:
            beside_google(files, reader, detector)


def cost(reader: FaceMesh, detector: FaceDetector, times: int = 100) -> None:
    """Milliseconds a face."""
    measuring.head("portrait", "mesh and blendshapes, ms", "figures, ms")
    for name, image in PORTRAITS.items():
        upright = as_image(image)
        face = detector.detect(upright)[0]
        mesh = reader.read(upright, face)
        reading = measuring.milliseconds(partial(reader.read, image, face, mesh), times, time.thread_time)
        figures = measuring.milliseconds(partial(measured, mesh), times, time.thread_time)
        measuring.row(name, f"{reading:.1f}", f"{figures:.2f}")


def drawing(reader: FaceMesh, detector: FaceDetector, times: int = 100) -> None:
    """Milliseconds that ``--draw`` takes for a face of a video: lines, conversion to YUV, blending."""
    print()
    measuring.head("face's width in pixels", "mesh, ms", "pose, ms", "gaze, ms", "all three, ms")
    image = PORTRAITS["collins"]
    for width in (50, 150, 400, 700):
        upright = np.ascontiguousarray(image)
        scale = width / detector.detect(upright)[0].box.width
        upright = np.asarray(cv2.resize(upright, None, fx=scale, fy=scale), np.uint8)
        face = detector.detect(upright)[0]
        mesh = reader.read(upright, face)
        seen = Observation(face, 0, None, measures=measured(mesh), landmarks=mesh.landmarks)
        height, across = (side + side % 2 for side in upright.shape[:2])
        planes = tuple(np.zeros((height // part, across // part), np.uint8) for part in (1, 2, 2))

        def draw(*kinds: str) -> None:
            patches = features(seen, kinds, 22, (upright.shape[1], upright.shape[0]))  # noqa: B023
            blend_yuv420(planes, [to_yuv(patch, bt709()) for patch in patches])  # type: ignore[arg-type]  # noqa: B023

        costs = [
            measuring.milliseconds(partial(draw, *kinds), times, time.thread_time)
            for kinds in (("mesh",), ("pose",), ("gaze",), DRAWN)
        ]
        measuring.row(width, *[f"{cost:.2f}" for cost in costs])


def photographs() -> None:
    """The canonical face, turned and photographed."""
    print()
    measuring.head("canonical face from, cm", "yaw off by, mean and most, degrees", "pitch", "roll")
    for distance in (30, 40, 60, 100, 200):
        off = []
        for angles in ANGLES:
            pose = pose_of(seen(turned(*angles), distance))
            off.append(np.abs(np.subtract((pose.yaw, pose.pitch, pose.roll), angles)))
        means, most = np.mean(off, axis=0), np.max(off, axis=0)
        measuring.row(distance, *[f"{a:.2f}, {b:.2f}" for a, b in zip(means, most, strict=True)])


def portraits(reader: FaceMesh, detector: FaceDetector) -> None:
    """Pose of an image that was turned: the angle of the rotation between what is due and what is read."""
    print()
    measuring.head("image turned by, degrees", "head off by, degrees, collins", "hopper")
    for degrees in (-90, -45, -20, -10, 10, 20, 45, 90):
        cells = []
        for image in PORTRAITS.values():
            one, other = (pose_of(mesh_of(p, reader, detector).landmarks) for p in (image, rolled(image, degrees)))
            off = rotation_by(0, 0, degrees) @ one.rotation @ other.rotation.T
            cells.append(f"{np.degrees(np.arccos(min(1, (np.trace(off) - 1) / 2))):.1f}")
        measuring.row(degrees, *cells)
    print()
    measuring.head("mirrored", "yaw", "pitch", "roll")
    for name, image in PORTRAITS.items():
        one, other = (pose_of(mesh_of(p, reader, detector).landmarks) for p in (image, image[:, ::-1]))
        pairs = ((one.yaw, other.yaw), (one.pitch, other.pitch), (one.roll, other.roll))
        measuring.row(name, *[f"{a:.1f}, {b:.1f}" for a, b in pairs])


def lids(reader: FaceMesh, detector: FaceDetector) -> None:
    """Openings of eyes whose lids were drawn down; the other portrait wears glasses, which are no lids."""
    print()
    measuring.head("lids drawn down", "opening, right and left", "eyeBlink, right and left")
    image = PORTRAITS["collins"]
    mesh = mesh_of(image, reader, detector)
    for closed in (0, 0.25, 0.5, 0.75, 1):
        now = mesh_of(with_lids(image, mesh, closed), reader, detector)
        shown = measured(now)
        right, left = (now.blendshapes[BLENDSHAPES.index(f"eyeBlink{side}")] for side in ("Right", "Left"))
        measuring.row(f"{closed:.0%}", f"{shown.right_eye:.2f}, {shown.left_eye:.2f}", f"{right:.2f}, {left:.2f}")


def irises(reader: FaceMesh, detector: FaceDetector) -> None:
    """Gaze of portraits whose irises were moved as if the eyes had turned."""
    print()
    measuring.head("eyes turned by, degrees (right, down)", "gaze turns by, collins", "hopper")
    for right, down in ((-25, 0), (-15, 0), (-8, 0), (8, 0), (15, 0), (25, 0), (0, -10), (0, 10)):
        cells = []
        for image in PORTRAITS.values():
            mesh = mesh_of(image, reader, detector)
            ahead = measured(mesh)
            x, y = np.sin(np.radians((right, down))) * 1.05 * ahead.pose.scale
            now = measures_of(with_look(image, mesh, x, y), reader, detector)
            if ahead.gaze is None or now.gaze is None:
                cells.append("eyes shut")
            else:
                cells.append(f"{now.gaze.x - ahead.gaze.x:.0f}, {now.gaze.y - ahead.gaze.y:.0f}")
        measuring.row(f"{right}, {down}", *cells)


def images(path: Path, every: int) -> Iterator[Image]:
    """A photo, or every so many frames of a video."""
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        yield read_photo(path)
        return
    with VideoReader(path) as video:
        for frame in video.frames():
            if frame.index % every == 0:
                yield frame.image


def following(path: Path, reader: FaceMesh, detector: FaceDetector) -> None:
    """How much points tremble from frame to frame, if each is cut out by its box or by the points before."""
    if path.suffix.lower() not in VIDEO_SUFFIXES:
        return
    ways: dict[str, list[NDArray[np.float32]]] = {"its box": [], "the points before": []}
    apart, shapes = [], []
    known, before = None, None
    for image in images(path, 1):
        known = detector.find(image, known)
        if not known:
            known = before = None
            continue
        found = reader.read(image, known[0])
        before = reader.read(image, known[0], before)
        ways["its box"].append(found.landmarks)
        ways["the points before"].append(before.landmarks)
        apart.append(np.linalg.norm((found.landmarks - before.landmarks)[:, :2], axis=1))
        shapes.append(np.abs(found.blendshapes - before.blendshapes))
    print()
    measuring.head(f"{path.name}: crop by", "points tremble by, pixels", "yaw, degrees", "pitch", "roll")
    for name, landmarks in ways.items():
        places = np.array(landmarks, np.float64)
        poses = np.array([(p.yaw, p.pitch, p.roll) for p in map(pose_of, places)])
        # What a frame differs by from the mean of its neighbours is motion to a small part only.
        trembling = np.linalg.norm((places[1:-1] - (places[:-2] + places[2:]) / 2)[..., :2], axis=2)
        angles = np.median(np.abs(poses[1:-1] - (poses[:-2] + poses[2:]) / 2), axis=0)
        measuring.row(name, *[f"{figure:.2f}" for figure in (np.median(trembling), *angles)])
    print(
        f"\nThe two differ by {np.median(apart):.2f} pixels and {np.median(shapes):.4f} of a blendshape in the median."
    )


def beside_google(files: list[Path], reader: FaceMesh, detector: FaceDetector) -> None:
    """Points and blendshapes beside MediaPipe's own graph."""
    from tests.vision import google

    print()
    measuring.head(
        *("beside MediaPipe", "faces", "points, % of the distance between the eyes: median, most", "depth, median"),
        "blendshapes: median, median of each face's largest",
    )
    sources = {name: [as_image(image)] for name, image in PORTRAITS.items()}
    sources |= {path.name: list(images(path, EVERY)) for path in files}
    with tempfile.TemporaryDirectory() as folder, google.landmarker(Path(folder)) as landmarker:
        for name, shown in sources.items():
            faces: list[tuple[Image, Face, NDArray[np.float64], NDArray[np.float64]]] = [
                (image, face, *theirs)
                for image in shown
                for theirs in google.read(landmarker, image)
                for face in detector.detect(image)
                if google.same_face(theirs[0], face)
            ]
            points, depths, shapes = [], [], []
            for image, face, landmarks, scores in faces:
                mesh = reader.read(image, face)
                off, unit = np.abs(mesh.landmarks - landmarks), np.linalg.norm((landmarks[33] - landmarks[263])[:2])
                points.append(100 * np.median(np.linalg.norm(off[:, :2], axis=1)) / unit)
                depths.append(100 * np.median(off[:, 2]) / unit)
                shapes.append(np.abs(mesh.blendshapes - scores))
            if faces:
                off_by = f"{np.median(points):.2f}, {max(points):.2f}", f"{np.median(depths):.2f}"
                shape = f"{np.median(shapes):.3f}, {np.median(np.max(shapes, axis=1)):.2f}"
                measuring.row(name, len(faces), *off_by, shape)


if __name__ == "__main__":
    main()
