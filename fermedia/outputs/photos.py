"""Annotated pictures: JPEGs of the same size, upright, with what was seen painted on them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from PIL import Image

from fermedia.errors import MediaError
from fermedia.files import shown, whole_file
from fermedia.outputs.drawing import overlay
from fermedia.outputs.patches import blend_rgb
from fermedia.types import Frame, Observation

#: JPEG quality, with colours at full resolution: small coloured text stays clean.
_QUALITY = 92


class PhotoWriter:
    """Writes an annotated JPEG per analysed picture into ``folder``; a context manager and a sink.

    ``a.jpg`` stays ``a.jpg``, ``a.png`` becomes ``a.png.jpg``. Should that name be taken by another picture of the
    folder (capitals make no difference, so that the folder can be copied anywhere), it becomes ``a.png.2.jpg``.

    Raises MediaError (stage ``write``).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._taken: set[str] = set()

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
        image = picture.rgb().copy()
        blend_rgb(image, overlay(observations, picture.width, picture.height))
        path = self.folder / self._free_name(frame.name)
        try:
            with whole_file(path) as temporary:
                Image.fromarray(image).save(temporary, "JPEG", quality=_QUALITY, subsampling=0)
        except (OSError, ValueError) as error:  # ValueError: more than 65535 pixels a side
            reason = getattr(error, "strerror", None) or error
            message = f"{shown(Path(frame.name))}: the annotated picture cannot be written ({reason})"
            raise MediaError(message, "write") from error

    def _free_name(self, name: str) -> str:
        stem, suffix = (name[: name.rindex(".")], name[name.rindex(".") :]) if "." in name else (name, "")
        if suffix.lower() not in (".jpg", ".jpeg"):
            stem, suffix = name, ".jpg"
        free, count = stem + suffix, 1
        while free.lower() in self._taken:
            count += 1
            free = f"{stem}.{count}{suffix}"
        self._taken.add(free.lower())
        return free
