"""MediaPipe's own graph from an image to blendshapes, with the networks that fermedia ships. Needs the extra."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import mediapipe
import numpy as np
from numpy.typing import NDArray

from fermedia.files import models_dir
from fermedia.types import BLENDSHAPES, Face, Image
from fermedia.vision.networks import FILES, MESH_FILES

#: The tip of the nose in the mesh.
NOSE = 1


def landmarker(folder: Path) -> Any:
    """MediaPipe's ``FaceLandmarker``, a context manager; its bundle is written into ``folder``."""
    task = folder / "face_landmarker.task"
    with zipfile.ZipFile(task, "w") as bundle:  # as Google's: nothing is compressed
        bundle.write(models_dir() / "face" / FILES["short"], "face_detector.tflite")
        for name in MESH_FILES:
            bundle.write(models_dir() / "face" / name, name)
    vision = mediapipe.tasks.vision
    options = vision.FaceLandmarkerOptions(
        base_options=mediapipe.tasks.BaseOptions(model_asset_path=str(task)), output_face_blendshapes=True, num_faces=6
    )
    return vision.FaceLandmarker.create_from_options(options)


def read(made: Any, image: Image) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Each face's landmarks in pixels (478, 3) and blendshapes (52,), in our order."""
    theirs: Any = mediapipe.Image(mediapipe.ImageFormat.SRGB, np.ascontiguousarray(image.rgb()))
    result = made.detect(theirs)
    faces = []
    for points, shapes in zip(result.face_landmarks, result.face_blendshapes, strict=True):
        assert tuple(shape.category_name for shape in shapes) == BLENDSHAPES
        places = np.array([(point.x, point.y, point.z) for point in points])
        scores = np.array([shape.score for shape in shapes])
        faces.append((places * (image.width, image.height, image.width), scores))
    return faces


def same_face(landmarks: NDArray[np.float64], face: Face) -> bool:
    """Whether landmarks are those of a face that our detector found."""
    return bool(np.linalg.norm(landmarks[NOSE, :2] - face.keypoints[2]) < 0.2 * face.box.width)
