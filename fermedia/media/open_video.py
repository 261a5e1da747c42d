"""An open video: its frames with the times at which a player shows them, its metadata, and its faults."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import chain
from pathlib import Path
from typing import Self

from fermedia.errors import MediaError
from fermedia.files import shown
from fermedia.media.claims import AviIndex, ends_within_a_packet, has_garbage, is_cropped, is_whole, video_length
from fermedia.media.container import hole_at_end, image_streams, start_time
from fermedia.media.decoder import Decoded, Decoder
from fermedia.media.frames import Upright
from fermedia.media.timestamps import TimestampRepair
from fermedia.types import MediaInfo

#: A video that ends earlier than declared by more than this (seconds, and frames) is incomplete.
_SHORTFALL = Fraction(1, 10), 3

#: The most frames, and their pixels together, that are held to decide whether a time stamp is stray.
_MOST_AHEAD, _MOST_PIXELS_AHEAD = 8, 16e6


class OpenVideo:
    """A video whose first frame is decoded, which determines its size and rotation; a context manager.

    ``info`` is the metadata, ``decoder`` yields the frames, ``upright`` converts them, and ``origin`` is the zero of
    their times, in seconds by the container's clock. ``seams`` are the shifts where that clock restarts, as far as
    frames were read (``media.timestamps``).

    Args:
        path: The file.
        size: (width, height) to use in ``info`` instead of the first frame's.

    Raises:
        MediaError: No frame can be decoded.
    """

    info: MediaInfo
    upright: Upright
    origin: Fraction

    def __init__(self, path: Path, size: tuple[int, int] | None = None) -> None:
        self.path = path
        self.decoder = Decoder(path)
        self._on_line: Iterator[tuple[Fraction, Decoded]] = iter(())
        self._end = Fraction(0)
        self._claimed_end: Fraction | None = None
        self._indexed_end: Fraction | None = None
        try:
            self._begin(size)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self.decoder.close()
        # The iterator refers back to this object: the reference cycle would keep the decoder and its frames alive.
        self._on_line = iter(())

    def _begin(self, size: tuple[int, int] | None) -> None:
        decoder = self.decoder
        context = decoder.stream.codec_context
        ahead = max(1, min(_MOST_AHEAD, int(_MOST_PIXELS_AHEAD / max(1, context.width * context.height))))
        self._line: TimestampRepair[Decoded] = TimestampRepair(1 / decoder.rate, ahead, start_time(decoder.container))
        self.seams = self._line.seams
        index_end = AviIndex(decoder.stream, self.path).end if decoder.is_avi else 0
        self._on_line = self._lined()
        begun = next(self._on_line, None)
        if begun is None:
            reason = f" ({decoder.failure})" if decoder.failure else ""
            raise MediaError(f"{shown(self.path)}: no image in it can be decoded{reason}", "decode")
        self._on_line = chain([begun], self._on_line)
        stream = decoder.stream  # not earlier: a damaged video has been reopened
        time, first = begun
        self.origin = self._find_origin(time)
        self.upright = Upright(first.frame, first.pixel)
        length, own = video_length(decoder.container, stream)
        start = max((stream.start_time or 0) * decoder.base - self.origin, Fraction(0))
        self._claimed_end = start + length if length and own else None
        self._indexed_end = start + index_end * decoder.base if index_end else None
        width, height = size or self.upright.size
        audio = next((s for s in decoder.container.streams.audio if s.codec_context), None)
        self.info = MediaInfo(
            width=width,
            height=height,
            average_rate=stream.average_rate,
            duration=float(length) if length else None,
            frames=stream.frames or None,
            codec=stream.codec_context.name,
            rotation=self.upright.rotation,
            audio=audio.codec_context.name if audio else None,
            recorded=decoder.container.metadata.get("creation_time") or stream.metadata.get("creation_time"),
        )

    def _find_origin(self, first: Fraction) -> Fraction:
        """The zero of the frames' times by the container's clock; ``first`` is the first frame's time."""
        decoder = self.decoder
        origin = start_time(decoder.container)
        if decoder.is_avi:
            return origin + first - (decoder.stream.start_time or 0) * decoder.base
        return min(origin, first)

    def _lined(self) -> Iterator[tuple[Fraction, Decoded]]:
        """The frames with strictly increasing times by the container's clock."""
        for decoded in self.decoder.frames():
            stamp, duration = self.decoder.stamp(decoded.frame), self.decoder.duration(decoded.frame)
            yield from self._line.put(decoded, stamp, duration)
        yield from self._line.ready(final=True)

    def frames(self) -> Iterator[tuple[Fraction, Decoded]]:
        """Yield each frame with its time as in a player: seconds, strictly increasing."""
        for stamp, decoded in self._on_line:
            time = stamp - self.origin
            self._end = self.end_of(time, decoded)
            yield time, decoded

    def end_of(self, time: Fraction, decoded: Decoded) -> Fraction:
        """When a frame that is shown from ``time`` on ends, in seconds."""
        return time + (self.decoder.duration(decoded.frame) or 1 / self.decoder.rate)

    # -- faults and repairs ------------------------------------------------------------------------------------------

    def verdict(self, end: Fraction | None = None) -> str | None:
        """What is wrong with the video, after it was read to its end; None if nothing is.

        Args:
            end: Where it ended, in seconds; None for the end of the last of ``frames``.
        """
        if end is None:
            repeated = self.decoder.repeated
            end = self._end if repeated is None else max(self._end, repeated - self.origin)
        name = self.decoder.container.format.name
        seconds, frames = _SHORTFALL
        least = max(seconds, frames / self.decoder.rate)
        if self._claimed_end is not None and self._claimed_end - end > least and not self._is_whole(end, least):
            return f"breaks off at {float(end):.2f} s of {float(self._claimed_end):.2f} s"
        if name == "mpegts" and ends_within_a_packet(self.path):
            return f"breaks off at {float(end):.2f} s"
        if self.decoder.errors == 0 and "matroska" in name and has_garbage(self.path):
            self.decoder.errors = 1
        if hole := hole_at_end(self.path):
            return f"its last {hole / 1e6:.0f} MB were never written"
        return self.damage()

    def damage(self) -> str | None:
        """What is wrong with the part that was read; None if nothing is."""
        errors = self.decoder.errors
        if errors == 0:
            return None
        places = "1 place" if errors == 1 else f"{errors} places"
        return f"damaged in {places}; frames may be missing or damaged"

    def _is_whole(self, end: Fraction, least: Fraction) -> bool:
        """Whether a video that ends at ``end`` is complete, though its header declares over ``least`` seconds more.

        A declared duration may include stray time stamps, or a still image up to the end. That of an AVI may be wrong;
        an AVI that ends where its index ends is complete.
        """
        decoder = self.decoder
        if self._line.strays or is_whole(self.path, decoder.container.format.name, decoder.stream):
            return True
        return self._indexed_end is not None and abs(self._indexed_end - end) <= least

    def left_aside(self) -> list[str]:
        """What is in the file and is ignored, one line each."""
        decoder, notes = self.decoder, []
        videos = image_streams(decoder.container)
        if len(videos) > 1:
            notes.append(
                f"of its {len(videos)} video tracks only number {videos.index(decoder.stream) + 1} is analysed"
            )
        if "matroska" in decoder.container.format.name and is_cropped(self.path):
            notes.append("its header asks to crop the image, which is not done")
        return notes

    def repairs(self) -> list[str]:
        """What was repaired in the times, one line each."""
        notes = []
        if told := self._line.strays_told(self.origin):
            notes.append(told)
        if seams := self._line.joints:
            first, count = float(seams[0] - self.origin), len(seams)
            notes.append(f"its clock restarts at {first:.2f} s{' and later' * (count > 1)}; the parts are joined")
        return notes
