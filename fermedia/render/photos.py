"""Annotated photos: upright sRGB JPEGs of the original size with the faces drawn in."""

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
from fermedia.render.blur import hidden_in_photo, hide
from fermedia.render.drawing import PLAIN, Look, overlay
from fermedia.render.patches import Patch, blend_rgb
from fermedia.tables.cells import plain
from fermedia.types import Frame, Observation

#: JPEG quality, and chroma at full resolution, which keeps small coloured text clear.
_JPEG = [
    cv2.IMWRITE_JPEG_QUALITY,
    92,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
]

#: libjpeg's JPEG_MAX_DIMENSION. Larger images are written as PNG.
_LONGEST = 65_500


class PhotoWriter:
    """Write an annotated JPEG per analysed image into a folder; a context manager and a sink.

    Args:
        folder: Where the images are written, with the names of ``FreeNames``.
        look: How faces are drawn.
        blur: Whose faces are hidden (``--blur``); None for nobody's.

    Raises:
        MediaError: Writing failed (stage ``write``).
    """

    def __init__(self, folder: Path, look: Look = PLAIN, blur: str | None = None) -> None:
        self.folder, self._look, self._blur = folder, look, blur
        self._names = FreeNames()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        pass

    def write(self, frame: Frame, observations: Sequence[Observation] | None) -> None:
        """Write an image, which must have a name, with its faces; nothing if it was not analysed (None)."""
        if observations is None:
            return
        if frame.name is None:
            raise TypeError("an annotated image needs a name")
        image = frame.image
        patches = overlay(observations, image.width, image.height, self._look)
        # OpenCV encodes BGR without a further copy; Pillow would make one with 4 bytes per pixel.
        pixels = np.asarray(cv2.cvtColor(image.rgb(), cv2.COLOR_RGB2BGR), np.uint8)
        if self._blur is not None:
            hide(pixels, [o.face.box for o in hidden_in_photo(observations, self._blur)])
        blend_rgb(pixels, (Patch(p.x, p.y, p.rgba[:, :, [2, 1, 0, 3]]) for p in patches))
        path = self.folder / self._names.annotated(frame.name, image.width, image.height)
        suffix = path.suffix.lower()
        try:
            with whole_file(path) as temporary:
                done, encoded = cv2.imencode(suffix, pixels, [] if suffix == ".png" else _JPEG)
                if not done:
                    raise OSError("the encoder refuses it")
                temporary.write_bytes(encoded.tobytes())  # OpenCV itself does not report a full disk
        except (OSError, cv2.error) as error:
            reason = getattr(error, "strerror", None) or str(error).splitlines()[0]
            message = f"{shown(Path(frame.name))}: the annotated image cannot be written ({reason})"
            raise MediaError(message, "write") from error


class FreeNames:
    """Choose unique file names for the annotated images of a folder. The images must be given in their order.

    ``a.jpg`` stays ``a.jpg``, ``a.heic`` becomes ``a.heic.jpg``, and a panorama too large for JPEG ``a.jpg.png``. If
    another image of the folder has that name (ignoring case, so that the folder can be copied to any system), it
    becomes ``a.heic.2.jpg``. Characters that some system does not allow are replaced (``names.portable``), and names
    that are too long for a file system are cut at the end.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def annotated(self, name: str, width: int, height: int) -> str:
        """The file name for the next image, whose own name is ``name`` and whose size is given in pixels."""
        # The report makes the same name from a cell of the timeline.
        stem, suffix = portable(plain(name).removeprefix("./")), ".png" if max(width, height) > _LONGEST else ".jpg"
        if suffix == ".jpg" and stem.lower().endswith((".jpg", ".jpeg")):
            stem, suffix = stem[: stem.rindex(".")], stem[stem.rindex(".") :]
        free, count = fitting(stem, suffix), 1
        while free.lower() in self._taken:
            count += 1
            free = fitting(stem, f".{count}{suffix}")
        self._taken.add(free.lower())
        return free
