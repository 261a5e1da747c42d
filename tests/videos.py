"""Real videos and images for the tests, made on the fly.

Every image is RGB, uint8, (h, w, 3). Frames carry their number as a bar of blocks along the top edge, so that a
test can say which frame it is looking at after any encoder: ``paint_number`` and ``read_number``.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path

import av
import cv2
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]

_BITS = 12
_BLOCKS = _BITS + 2  # a white and a black one come first, to read the others against


@cache
def astronaut() -> Pixels:
    """Eileen Collins, 512x512, NASA, public domain. One face, about 105 pixels wide, centre near (225, 115)."""
    from skimage import data

    image = data.astronaut()
    image.setflags(write=False)
    return image


def head() -> Pixels:
    """The astronaut's head and shoulders, 240x240."""
    return astronaut()[0:240, 105:345]


def background(size: tuple[int, int]) -> Pixels:
    """A soft gradient without anything like a face; size is (width, height)."""
    width, height = size
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.stack([60 + 80 * x, 90 + 60 * y, 120 - 60 * x], axis=2).astype(np.uint8)


def bar_height(height: int) -> int:
    """Rows that the number takes at the top of an image of this height."""
    return max(6, height // 10)


def paint_number(image: Pixels, number: int) -> Pixels:
    """A copy of the image with ``number`` (0..4095) as black and white blocks along its top edge."""
    image = image.copy()
    bits = [1, 0] + [number >> bit & 1 for bit in reversed(range(_BITS))]
    edges = np.linspace(0, image.shape[1], _BLOCKS + 1).round().astype(int)
    for bit, left, right in zip(bits, edges[:-1], edges[1:], strict=True):
        image[: bar_height(image.shape[0]), left:right] = 255 * bit
    return image


def read_number(image: Pixels) -> int:
    """The number in a grey (h, w) or colour (h, w, 3) image of any size; ValueError where there is none."""
    gray = image if image.ndim == 2 else image.mean(axis=2)
    height, width = gray.shape
    bar = bar_height(height)
    edges = np.linspace(0, width, _BLOCKS + 1)
    levels = []
    for left, right in pairwise(edges):
        inset = (right - left) / 4
        block = gray[bar // 4 : max(bar // 4 + 1, bar * 3 // 4), int(left + inset) : int(right - inset) + 1]
        levels.append(block.mean())
    white, black, *bits = levels
    if white - black < 128:
        raise ValueError(f"no frame number in this image: white {white:.0f}, black {black:.0f}")
    if any(min(abs(level - white), abs(level - black)) > 64 for level in bits):
        raise ValueError("the frame number is blurred: frames were blended")
    return int("".join("1" if level > (white + black) / 2 else "0" for level in bits), 2)


def numbered(count: int, size: tuple[int, int] = (320, 240)) -> Iterator[Pixels]:
    """``count`` images without a face, each with its number."""
    scene = background(size)
    for number in range(count):
        yield paint_number(scene, number)


def moving_faces(count: int, size: tuple[int, int] = (480, 360)) -> Iterator[Pixels]:
    """``count`` numbered images in which the astronaut's head (3/4 of the height) drifts from left to right."""
    width, height = size
    side = min(width, height * 3 // 4)
    face = resized(head(), (side, side), cv2.INTER_AREA)
    scene = background(size)
    for number in range(count):
        image = scene.copy()
        left = round((width - side) * number / max(1, count - 1))
        top = height - side
        image[top:, left : left + side] = face
        yield paint_number(image, number)


def write_video(
    path: Path,
    images: Iterable[Pixels],
    rate: Fraction | int = Fraction(25),
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: Sequence[Fraction] | None = None,
    start: Fraction | float = 0,
    audio: str | None = None,
    audio_seconds: Fraction | float | None = None,
    audio_start: Fraction | float = 0,
    silence: float = 0,
    languages: Sequence[str] = (),
    pixel: Fraction | None = None,
    interlaced: bool = False,
    rotation: int = 0,
    hflip: bool = False,
    full_range: bool = False,
    colorspace: int | None = None,
    transfer: int | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Encode RGB images; the container follows the path's suffix. Returns the path.

    ``times`` are the presentation times in seconds for a variable rate (else ``n / rate``); ``start`` is added to
    them, while the audio (a 440 Hz tone, ``audio`` names its encoder) begins at 0 and lasts as long as the video
    unless ``audio_start`` and ``audio_seconds`` say otherwise; its first ``silence`` seconds are still. Each of
    ``languages`` has a track, the last is the default.

    The images are given upright: with ``rotation`` (90, 180 or 270 degrees clockwise, what the player has to turn)
    and ``hflip`` they are stored turned and mirrored, and the metadata says so, as phones do. ``pixel`` is the aspect
    ratio of the stored pixels. With ``interlaced`` each image is taken for two fields, the upper first.
    ``colorspace`` (1 is BT.709, 6 BT.601) and ``transfer`` (16 is PQ, 18 HLG) are tagged; by default the video is
    untagged and of the kind that players then expect.
    """
    images = list(images)
    rate = Fraction(rate)
    times = [n / rate for n in range(len(images))] if times is None else list(times)
    time_base = 1 / rate if all((time * rate).denominator == 1 for time in times) and not start else Fraction(1, 90000)
    with _same_scheduling(), av.open(str(path), "w", options=container_options or {}) as container:
        container.metadata.update(metadata or {})
        stream = _video_stream(container, codec, rate, options)
        stored = [_stored(image, rotation, hflip) for image in images]
        stream.height, stream.width = stored[0].shape[:2]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = time_base
        if full_range:
            stream.codec_context.color_range = 2
        if colorspace is not None:
            stream.codec_context.colorspace = colorspace
        if transfer is not None:
            stream.codec_context.color_trc = transfer
        if pixel is not None:
            stream.codec_context.sample_aspect_ratio = pixel
        if rotation or hflip:
            stream.set_display_rotation(-rotation, hflip=hflip)
        # Both streams must be there before the first packet is written.
        tones = [_audio_stream(container, audio, 48000, "stereo") for _ in languages or "x"] if audio else []
        for tone, language in zip(tones, languages, strict=False):
            tone.metadata["language"] = language
            tone.disposition = Disposition.default if language == languages[-1] else Disposition(0)
        for image, time in zip(stored, times, strict=True):
            frame = _yuv(image, pix_fmt, full_range, colorspace)
            if interlaced:
                frame = _fields(frame)
            frame.pts = round((time + Fraction(start)) / time_base)
            frame.time_base = time_base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        for tone in tones:
            seconds = times[-1] + 1 / rate if audio_seconds is None else Fraction(audio_seconds)
            _write_tone(container, tone, float(seconds), round(audio_start * 48000), silence)
    return path


@contextmanager
def _same_scheduling() -> Iterator[None]:
    """Take back what SVT-AV1 does where it may, as root: it gives the thread that opens it real-time priority.

    All that the thread begins later inherits that. Two such browser processes once held up all others for ever.
    """
    policy = os.sched_getscheduler(0) if hasattr(os, "sched_getscheduler") else None
    try:
        yield
    finally:
        if policy is not None and os.sched_getscheduler(0) != policy:
            os.sched_setscheduler(0, policy, os.sched_param(0))


def _video_stream(
    container: av.container.OutputContainer, codec: str, rate: Fraction | int, options: dict[str, str] | None
) -> av.VideoStream:
    stream = container.add_stream(codec, rate=rate, options=_quick(codec) | (options or {}))
    assert isinstance(stream, av.VideoStream)
    return stream


def _audio_stream(container: av.container.OutputContainer, codec: str, rate: int, layout: str) -> av.AudioStream:
    stream = container.add_stream(codec, rate=rate, layout=layout)
    assert isinstance(stream, av.AudioStream)
    return stream


def _quick(codec: str) -> dict[str, str]:
    return {
        "libx264": {"preset": "veryfast", "crf": "18"},
        "libx265": {"preset": "ultrafast", "x265-params": "log-level=none"},
        # Below 0, or it takes all the time that it has; several threads mostly wait for each other, at full speed.
        "libvpx": {"deadline": "realtime", "cpu-used": "-16", "threads": "1", "b": "2M"},
        "libvpx-vp9": {"deadline": "realtime", "cpu-used": "8", "b": "2M"},
        "libsvtav1": {"preset": "12", "crf": "20"},
    }.get(codec, {})


def _stored(image: Pixels, rotation: int, hflip: bool) -> Pixels:
    mirrored = image[:, ::-1] if hflip else image
    return np.ascontiguousarray(np.rot90(mirrored, rotation // 90))  # anticlockwise; the player turns it back


def _yuv(image: Pixels, pix_fmt: str, full_range: bool, colorspace: int | None) -> av.VideoFrame:
    frame = av.VideoFrame.from_ndarray(image, format="rgb24")
    levels = 2 if full_range else 1
    if colorspace is None:
        colorspace = 1 if image.shape[0] >= 720 else 5  # BT.709 and BT.601, as players take untagged videos
    return frame.reformat(format=pix_fmt, dst_color_range=levels, dst_colorspace=colorspace)


def _fields(frame: av.VideoFrame) -> av.VideoFrame:
    """The frame, marked as interlaced, its upper field first."""
    graph = av.filter.Graph()
    source = graph.add_buffer(width=frame.width, height=frame.height, format=frame.format, time_base=Fraction(1, 1000))
    graph.link_nodes(source, graph.add("setfield", "tff"), graph.add("buffersink")).configure()
    graph.vpush(frame)
    return graph.vpull()


def pixels(frame: av.VideoFrame, format: str = "rgb24") -> Pixels:
    """The frame as RGB, or of another format of 8 bits."""
    return np.asarray(frame.to_ndarray(format=format), np.uint8)


def images(path: Path, format: str = "rgb24") -> list[tuple[float, Pixels]]:
    """(time in seconds, ``pixels``) of every frame of a video, as any player has them."""
    with av.open(str(path)) as video:
        return [(seconds(frame), pixels(frame, format)) for frame in video.decode(video=0)]


def seconds(frame: av.VideoFrame | av.AudioFrame) -> float:
    """The time of a frame that has one."""
    assert frame.time is not None
    return frame.time


def resized(image: Pixels, size: tuple[int, int], how: int = cv2.INTER_LINEAR) -> Pixels:
    """The image scaled to (width, height)."""
    return np.asarray(cv2.resize(image, size, interpolation=how), np.uint8)


def read_image(path: Path) -> Pixels:
    """An image file's BGR pixels, which is how OpenCV has them."""
    image = cv2.imread(str(path))
    assert image is not None
    return np.asarray(image, np.uint8)


BEEP = Fraction(1, 10)


def write_beeps(
    path: Path,
    images: Iterable[Pixels],
    *,
    codec: str = "libx264",
    audio: str = "aac",
    rate: int = 48000,
    layout: str = "stereo",
    seconds: int | None = None,
    format: str | None = None,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
) -> Path:
    """A video of 25 frames a second whose audio beeps (1 kHz, for ``BEEP`` seconds) at every whole second.

    It lasts for ``seconds``, as long as the image if None. Returns the path.
    """
    images = list(images)
    count = rate * (len(images) // 25 if seconds is None else seconds)
    time = np.arange(count) / rate
    samples = (np.sin(2 * np.pi * 1000 * time) / 2 * (time % 1 < float(BEEP))).astype(np.float32)
    with av.open(str(path), "w", format=format, options=container_options or {}) as container:
        stream = _video_stream(container, codec, 25, options)
        stream.height, stream.width = images[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        tone = _audio_stream(container, audio, rate, layout)
        tone.bit_rate = 128_000
        for number, image in enumerate(images):
            frame = _yuv(image, "yuv420p", False, None)
            frame.pts, frame.time_base = number, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        context = tone.codec_context
        resampler = av.AudioResampler(context.format.name, layout, rate, context.frame_size or 960)
        whole = av.AudioFrame.from_ndarray(
            np.stack([samples] * (1 if layout == "mono" else 2)), format="fltp", layout=layout
        )
        whole.sample_rate, whole.time_base, whole.pts = rate, Fraction(1, rate), 0
        for part in [*resampler.resample(whole), *resampler.resample(None)]:
            container.mux(tone.encode(part))
        container.mux(tone.encode(None))
    return path


def heard_beeps(path: Path) -> list[float]:
    """The times at which the first audio track's beeps begin, in seconds."""
    begins: list[float] = []
    last = -1.0
    with av.open(str(path)) as video:
        for frame in video.decode(audio=0):
            resampled = av.AudioResampler("flt", "mono").resample(frame)
            samples = np.concatenate([part.to_ndarray()[0] for part in resampled])
            assert frame.pts is not None
            assert frame.time_base is not None
            for place in np.flatnonzero(np.abs(samples) > 0.1):
                time = float(frame.pts * frame.time_base) + place / frame.sample_rate
                if time - last > 0.3:
                    begins.append(time)
                last = time
    return begins


def restamp(source: Path, path: Path, change: Callable[[av.Packet[av.stream.Stream], int], None]) -> Path:
    """The same packets in a new file; ``change`` is called with each and its number in its stream. Returns the path."""
    numbers: Counter[int] = Counter()
    with av.open(str(source)) as given, av.open(str(path), "w") as container:
        streams = {stream.index: container.add_stream_from_template(stream) for stream in given.streams}
        for packet in given.demux():
            if packet.size:
                change(packet, numbers[packet.stream_index])
                numbers[packet.stream_index] += 1
                packet.stream = streams[packet.stream_index]
                container.mux(packet)
    return path


def add_tone(container: av.container.OutputContainer, codec: str, seconds: Fraction) -> None:
    """Write 440 Hz in stereo, from 0, as a stream of its own."""
    stream = _audio_stream(container, codec, 48000, "stereo")
    _write_tone(container, stream, float(seconds))


def _write_tone(
    container: av.container.OutputContainer, stream: av.AudioStream, seconds: float, start: int = 0, silence: float = 0
) -> None:
    samples = np.sin(2 * np.pi * 440 / 48000 * np.arange(round(seconds * 48000))).astype(np.float32) / 4
    samples[: round(silence * 48000)] = 0
    context = stream.codec_context
    resampler = av.AudioResampler(context.format.name, "stereo", 48000, context.frame_size or 960)
    whole = av.AudioFrame.from_ndarray(np.stack([samples, samples]), format="fltp", layout="stereo")
    whole.sample_rate, whole.time_base, whole.pts = 48000, Fraction(1, 48000), start
    for frame in [*resampler.resample(whole), *resampler.resample(None)]:
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))
