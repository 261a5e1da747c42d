"""Annotated pictures: JPEGs of the same size, upright, sRGB, with what was seen painted on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np

from fermedia.errors import MediaError
from fermedia.files import shown, whole_file
from fermedia.names import fitting, portable
from fermedia.outputs.drawing import overlay
from fermedia.outputs.patches import Patch, blend_rgb
from fermedia.types import Frame, Observation

#: JPEG quality, with colours at full resolution: small coloured text stays clean.
_JPEG = [
    cv2.IMWRITE_JPEG_QUALITY,
    92,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]

#: libjpeg's JPEG_MAX_DIMENSION. What is longer becomes a PNG.
_LONGEST = 65_500


class PhotoWriter:
    """Writes an annotated JPEG per analysed picture into ``folder``; a context manager and a sink.

    They are called as ``FreeNames`` says; ``undecided`` is ``drawing.Painter``'s. Raises MediaError (stage ``write``).
    """

    def __init__(self, folder: Path, undecided: float = 0.0) -> None:
        self.folder, self._undecided = folder, undecided
        self._names = FreeNames()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Write a picture, which must have a name, with the faces seen in it; nothing if it was not analysed (None)."""
        if observations is None:
            return
        if frame.name is None:
            raise TypeError("an annotated picture needs a name")
        picture = frame.picture
        patches = overlay(observations, picture.width, picture.height, self._undecided)
        # OpenCV encodes from BGR without another copy; Pillow would make one of 4 bytes a pixel.
        image = np.asarray(cv2.cvtColor(picture.rgb(), cv2.COLOR_RGB2BGR), np.uint8)
        blend_rgb(image, (Patch(p.x, p.y, p.rgba[:, :, [2, 1, 0, 3]]) for p in patches))
        path = self.folder / self._names.annotated(frame.name, picture.width, picture.height)
        suffix = path.suffix.lower()
        try:
            with whole_file(path) as temporary:
                done, encoded = cv2.imencode(suffix, image, [] if suffix == ".png" else _JPEG)
                if not done:
                    raise OSError("the encoder refuses it")
                temporary.write_bytes(encoded.tobytes())  # OpenCV itself does not say that a disk is full
        except (OSError, cv2.error) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            message = f"{shown(Path(frame.name))}: the annotated picture cannot be written ({reason})"
            raise MediaError(message, "write") from error


class FreeNames:
    """What the annotated pictures of a folder are called; the names of pictures must come in their order.

    ``a.jpg`` stays ``a.jpg``, ``a.heic`` becomes ``a.heic.jpg``, and a panorama too long for JPEG ``a.jpg.png``. Should
    that name be taken by another picture of the folder (capitals make no difference, so that the folder can be copied
    anywhere), it becomes ``a.heic.2.jpg``. What some system does not allow in a name is replaced (``names.portable``).
    A name that would be too long for a file system loses its end.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def annotated(self, name: str, width: int, height: int) -> str:
        """The name for the next picture, which is called ``name`` and has this size in pixels."""
        stem, suffix = portable(name), ".png" if max(width, height) > _LONGEST else ".jpg"
        if suffix == ".jpg" and stem.lower().endswith((".jpg", ".jpeg")):
            stem, suffix = stem[: stem.rindex(".")], stem[stem.rindex(".") :]
        free, count = fitting(stem, suffix), 1
        while free.lower() in self._taken:
            count += 1
            free = fitting(stem, f".{count}{suffix}")
        self._taken.add(free.lower())
        return free
