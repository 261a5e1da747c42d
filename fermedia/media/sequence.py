"""Numbered pictures as a film: frames with true times, like those of a video."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Self

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from fermedia.errors import MediaError
from fermedia.files import shown
from fermedia.media.frames import VideoPicture
from fermedia.media.photos import read_photo
from fermedia.media.sampling import Chosen, exact
from fermedia.media.video import check_pixels, film_picture, fitting_note
from fermedia.options import Sampling
from fermedia.types import Frame, MediaInfo, MediaItem, Picture

#: What sRGB is among FFmpeg's tags: AVCOL_PRI_BT709 and AVCOL_TRC_IEC61966_2_1.
_PRIMARIES, _TRANSFER = 1, 13

#: Numbers that would make a longer film than this, in seconds (eleven days), are no running numbers.
_LONGEST = 1_000_000


class SequenceReader:
    """The pictures of an item of the kind "sequence", shown ``rate`` a second; a context manager like VideoReader.

    A picture's time is how far its number lies behind the first one's, divided by ``rate``: where numbers are missing,
    the picture before them lasts longer. ``info`` has the ``size`` of the film, by default that of the first picture
    that can be read; others are fitted in (``Picture.own`` keeps its shape). ``warning`` says which numbers are
    missing and which pictures could not be read, ``notes`` that some were fitted; they are final when ``frames`` has
    ended. ``seams`` and ``larger`` are a VideoReader's. No picture is held, beside those that were given out.

    Raises MediaError when not one picture can be read, or the numbers lie so far apart that they do not count.
    """

    def __init__(self, item: MediaItem, rate: float, size: tuple[int, int] | None = None) -> None:
        self.path = item.path
        self.warning: str | None = None
        self.notes: list[str] = []
        self.seams: list[Fraction] = []
        self.larger: tuple[int, int] | None = None
        self._item = item
        self._rate = exact(rate)
        first, last = item.numbers[0], item.numbers[-1]
        duration = (last - first + 1) / self._rate
        if duration > _LONGEST:
            message = f"the numbers {first} to {last} make no film; give the pictures running numbers"
            raise MediaError(f"{shown(self.path)}: {message}")
        width, height = size or self._first()
        check_pixels(self.path, width, height)
        self.info = MediaInfo(
            width=width,
            height=height,
            average_rate=self._rate,
            duration=float(duration),
            frames=len(item.files),
            codec=item.files[0].suffix.lower().lstrip("."),
            rotation=0,
            audio=None,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def frames(self, sampling: Sampling | None = None) -> Iterator[Frame]:
        """The frames from ``start`` to before ``end``, each with a VideoPicture (BT.709, limited range).

        The analysed ones are marked ``sampled``: every N-th picture that can be read, or the first at or after each
        tick of ``fps``; both count from ``start``. ``Frame.index`` is the picture's number less the first one, so
        that it leads back to the file. A second call begins anew.
        """
        return self._sampled(sampling or Sampling())

    def _first(self) -> tuple[int, int]:
        failure = ""
        for path in self._item.files:
            try:
                picture = read_photo(path)
                return picture.width, picture.height
            except MediaError as error:
                failure = failure or str(error)
        count = len(self._item.files)
        raise MediaError(f"{shown(self.path)}: none of its {count} pictures can be read ({failure})", "decode")

    def _sampled(self, sampling: Sampling) -> Iterator[Frame]:
        start = exact(sampling.start or 0)
        end = None if sampling.end is None else exact(sampling.end)
        chosen = Chosen(sampling, start)
        numbers = self._item.numbers
        failures: list[str] = []
        sizes: set[tuple[int, int]] = set()
        for path, (number, following) in zip(self._item.files, pairwise((*numbers, numbers[-1] + 1)), strict=True):
            time = (number - numbers[0]) / self._rate
            if end is not None and time >= end:
                break
            if time < start:
                continue
            try:
                picture = self._film_picture(read_photo(path))
            except MediaError as error:
                failures.append(str(error))
                continue
            sizes.add((picture.width, picture.height))
            duration = float((following - number) / self._rate)
            yield Frame(number - numbers[0], float(time), picture, duration, chosen(time))
        self.warning = self._judge(failures)
        self.notes = fitting_note(sizes, self.info)

    def _film_picture(self, picture: Picture) -> VideoPicture:
        film = self.info.width, self.info.height
        check_pixels(self.path, picture.width, picture.height)
        if self.larger is None and picture.width * picture.height > film[0] * film[1]:
            self.larger = picture.width, picture.height
        try:
            frame = av.VideoFrame.from_ndarray(picture.rgb(), format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                interpolation=Interpolation.AREA,
            )
        except av.FFmpegError as error:
            raise MediaError(f"{shown(self.path)}: a picture cannot be converted ({error.strerror})") from error
        frame.color_primaries, frame.color_trc = _PRIMARIES, _TRANSFER
        return film_picture(frame, film)

    def _judge(self, failures: list[str]) -> str | None:
        numbers = self._item.numbers
        missing = numbers[-1] - numbers[0] + 1 - len(numbers)
        warnings = []
        if missing:
            warnings.append(f"no picture for {missing} of the numbers {numbers[0]} to {numbers[-1]}")
        if failures:
            warnings.append(f"{len(failures)} of {len(numbers)} pictures cannot be read ({failures[0]})")
        return "; ".join(warnings) or None
