"""The demo: make a short video from two public-domain portraits, and analyse it like any other input."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.errors import OutputError, UsageError
from fermedia.files import shown, unlinked, whole_file
from fermedia.jobs.batch import run_batch
from fermedia.jobs.progress import Progress
from fermedia.names import LEDGER
from fermedia.options import AnalyzeOptions
from fermedia.types import Color

PORTRAITS = Path(__file__).parent / "portraits"

WIDTH, HEIGHT, RATE, AUDIO_RATE = 960, 540, 25, 48000

#: The face in each portrait: x and y of its centre, and its width, in pixels of the file.
FACES = {"collins": (224.0, 118.0, 110.0), "hopper": (258.0, 230.0, 190.0)}

#: The scenes: portrait, begin and end in seconds, then for the begin and for the end the face's centre (x and y as
#: shares of the frame) and its width in pixels.
SCENES = (
    ("collins", 0.0, 4.0, (0.40, 0.48, 120), (0.30, 0.45, 180)),
    ("collins", 4.0, 7.0, (0.30, 0.45, 180), (0.26, 0.45, 150)),
    ("hopper", 3.0, 7.0, (1.15, 0.50, 150), (0.72, 0.46, 170)),
    ("hopper", 8.0, 11.0, (0.60, 0.50, 100), (0.50, 0.50, 230)),
)
LENGTH = 11.0


def run_demo(out: Path, progress: Progress) -> str:
    """Make the inputs in ``out/recordings`` and analyse them into ``out/results``.

    Returns:
        The closing lines for the user.

    Raises:
        UsageError: ``out`` contains other files.
        OutputError: ``out`` cannot be written.
    """
    where = shown(out, whole=True)
    recordings, results = (unlinked(out, name) for name in ("recordings", "results"))
    try:
        if out.exists() and any(out.iterdir()) and not (results / LEDGER).is_file():
            raise UsageError(f"--out {where}: contains other files; name another folder")
        make_clip(recordings / "two_portraits.mp4")
        for portrait in PORTRAITS.glob("*.jpg"):
            with whole_file(recordings / portrait.name) as copy:
                copy.write_bytes(portrait.read_bytes())
    except (OSError, av.FFmpegError) as error:
        raise OutputError(f"--out {where}: cannot be written ({error.strerror or error})") from error
    totals = run_batch([recordings], results, AnalyzeOptions(), redo="all", progress=progress)
    video = results / "items" / "two_portraits.mp4" / "annotated.mp4"
    return "\n".join(
        (
            totals.sentence(results),
            f"  the report             {results / 'report.html'}",
            f"  the annotated video    {video}",
            f"  its timeline           {video.with_name('timeline.csv')}",
            f"  annotated portraits    {results / 'items' / 'photos' / 'annotated'}",
            f"  shares per face        {results / 'faces.csv'}",
            "Your own recordings:     fermedia analyze VIDEO_OR_FOLDER --out DIR",
        )
    )


def make_clip(path: Path) -> None:
    """Write the video: the portraits move through the frame over a soft chord; at times there is no face."""
    portraits = {name: _read(name) for name in FACES}
    with whole_file(path) as temporary, av.open(str(temporary), "w", format="mp4") as video:
        stream = video.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "veryfast"})
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        audio = video.add_stream("aac", rate=AUDIO_RATE, layout="mono")
        for index in range(int(LENGTH * RATE)):
            image = _image(index / RATE, portraits)
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            video.mux(stream.encode(frame))
        video.mux(stream.encode(None))
        samples = _chord()
        for begin in range(0, len(samples), 1024):
            part = av.AudioFrame.from_ndarray(samples[None, begin : begin + 1024], format="fltp", layout="mono")
            part.sample_rate, part.pts, part.time_base = AUDIO_RATE, begin, Fraction(1, AUDIO_RATE)
            video.mux(audio.encode(part))
        video.mux(audio.encode(None))


def _read(name: str) -> Color:
    """Read a portrait as RGB, uint8."""
    image = cv2.imread(str(PORTRAITS / f"{name}.jpg"))
    assert image is not None, f"{name}.jpg ships with fermedia"
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def _image(time: float, portraits: dict[str, Color]) -> Color:
    """The frame at a time in seconds: RGB, uint8, of ``HEIGHT`` x ``WIDTH`` pixels."""
    shade = np.linspace(70, 28, HEIGHT, dtype=np.float32)[:, None, None]
    image = np.broadcast_to(shade * np.array([0.80, 0.92, 1.0], np.float32), (HEIGHT, WIDTH, 3)).copy()
    for name, begin, end, first, last in SCENES:
        if begin <= time < end:
            share = (time - begin) / (end - begin)
            share = share * share * (3 - 2 * share)
            x, y, width = (a + (b - a) * share for a, b in zip(first, last, strict=True))
            _paste(image, portraits[name], FACES[name], (x * WIDTH, y * HEIGHT, width))
    return image.astype(np.uint8)


def _paste(
    image: NDArray[np.float32], portrait: Color, face: tuple[float, ...], place: tuple[float, float, float]
) -> None:
    """Draw a portrait with faded edges into ``image``, scaled and moved so that its face is at ``place``.

    ``face`` and ``place`` are x and y of the face's centre and its width, in pixels of the portrait and of the image.
    """
    scale = place[2] / face[2]
    matrix = np.array([[scale, 0, place[0] - face[0] * scale], [0, scale, place[1] - face[1] * scale]], np.float32)
    height, width = portrait.shape[:2]
    inside = np.zeros((height, width), np.float32)
    inside[14:-14, 14:-14] = 1
    edge = cv2.GaussianBlur(inside, (0, 0), 7)
    size = (image.shape[1], image.shape[0])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    layer = cv2.warpAffine(portrait, matrix, size, flags=flags).astype(np.float32)
    mask = cv2.warpAffine(edge, matrix, size)[..., None]
    image += mask * (layer - image)


def _chord() -> NDArray[np.float32]:
    """The samples of a quiet A minor seventh that swells and fades: makes audible whether the audio was kept."""
    time = np.arange(int(LENGTH * AUDIO_RATE)) / AUDIO_RATE
    tones = sum(np.sin(2 * np.pi * f * time) for f in (220.0, 261.63, 329.63, 392.0))
    return np.asarray(0.02 * tones * np.sin(np.pi * time / LENGTH) ** 2, np.float32)
