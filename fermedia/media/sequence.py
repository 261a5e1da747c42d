"""Read numbered images as a video."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import pairwise
from typing import Self

import av
from av.video.reformatter import ColorRange, Colorspace, Interpolation

from fermedia.errors import MediaError
from fermedia.files import shown
from fermedia.media.container import check_pixels
from fermedia.media.frames import VideoImage
from fermedia.media.photos import read_photo
from fermedia.media.sampling import Chosen, exact
from fermedia.media.video import fitting_note, video_image
from fermedia.options import Sampling
from fermedia.types import Frame, Image, MediaInfo, MediaItem

#: FFmpeg's tags for sRGB: AVCOL_PRI_BT709 and AVCOL_TRC_IEC61966_2_1.
_PRIMARIES, _TRANSFER = 1, 13

#: The longest video in seconds (eleven days): numbers that would make a longer one are not consecutive.
_LONGEST = 1_000_000


class SequenceReader:
    """Read an item of the kind "sequence" like a video; a context manager and a ``Reader``.

    An image's time is the difference of its number and the first, divided by ``rate``: where numbers are missing, the
    image before them lasts longer. Images of another size are fitted into the video's (``Image.own`` keeps its shape).
    ``warning`` says how many numbers are missing and which images could not be read, ``notes`` that some were fitted.
    No images are kept.

    Args:
        item: The item.
        rate: Images per second.
        size: (width, height) of the video; by default that of the first readable image.

    Raises:
        MediaError: No image can be read, or the numbers are too far apart.
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
            message = f"the numbers {first} to {last} are too far apart for a video; number the images consecutively"
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
        """Yield the frames from ``start`` to before ``end``, each with a VideoImage (BT.709, limited range).

        The frames to analyse are marked ``sampled``: every N-th readable image, or the first at or after each
        tick of ``fps``; both count from ``start``. ``Frame.index`` is the image's number less the first one, so
        that the file can be identified. A second call starts over.
        """
        return self._sampled(sampling or Sampling())

    def _first(self) -> tuple[int, int]:
        failure = ""
        for path in self._item.files:
            try:
                image = read_photo(path)
                return image.width, image.height
            except MediaError as error:
                failure = failure or str(error)
        count = len(self._item.files)
        raise MediaError(f"{shown(self.path)}: none of its {count} images can be read ({failure})", "decode")

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
                image = self._video_image(read_photo(path))
            except MediaError as error:
                failures.append(str(error))
                continue
            sizes.add((image.width, image.height))
            duration = float((following - number) / self._rate)
            yield Frame(number - numbers[0], float(time), image, duration, chosen(time))
        self.warning = self._judge(failures)
        self.notes = fitting_note(sizes, self.info)

    def _video_image(self, image: Image) -> VideoImage:
        video = self.info.width, self.info.height
        check_pixels(self.path, image.width, image.height)
        if self.larger is None and image.width * image.height > video[0] * video[1]:
            self.larger = image.width, image.height
        try:
            frame = av.VideoFrame.from_ndarray(image.rgb(), format="rgb24").reformat(
                format="yuv420p",
                dst_colorspace=Colorspace.ITU709,
                dst_color_range=ColorRange.MPEG,
                interpolation=Interpolation.AREA,
            )
        except av.FFmpegError as error:
            raise MediaError(f"{shown(self.path)}: an image cannot be converted ({error.strerror})") from error
        frame.color_primaries, frame.color_trc = _PRIMARIES, _TRANSFER
        return video_image(frame, video)

    def _judge(self, failures: list[str]) -> str | None:
        numbers = self._item.numbers
        missing = numbers[-1] - numbers[0] + 1 - len(numbers)
        warnings = []
        if missing:
            warnings.append(f"no image for {missing} of the numbers {numbers[0]} to {numbers[-1]}")
        if failures:
            warnings.append(f"{len(failures)} of {len(numbers)} images cannot be read ({failures[0]})")
        return "; ".join(warnings) or None
