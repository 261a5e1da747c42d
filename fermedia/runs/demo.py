"""The demo: a short clip from two public-domain portraits, analysed like anybody's recording."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from fermedia.errors import UsageError
from fermedia.files import whole_file
from fermedia.options import AnalyzeOptions
from fermedia.runs.batch import run_batch
from fermedia.runs.ledger import LEDGER
from fermedia.runs.progress import Progress
from fermedia.types import Color

PORTRAITS = Path(__file__).parent / "portraits"

WIDTH, HEIGHT, RATE, SOUND_RATE = 960, 540, 25, 48000

#: Where the face is in each portrait: (x, y) of its middle and its width, in pixels of the file.
FACES = {"collins": (224.0, 118.0, 110.0), "hopper": (258.0, 230.0, 190.0)}

#: Who is seen when: portrait, begin and end in seconds, then at both ends the middle of the face as shares of the
#: frame and its width in pixels.
SCENES = (
    ("collins", 0.0, 4.0, (0.40, 0.48, 120), (0.30, 0.45, 180)),
    ("collins", 4.0, 7.0, (0.30, 0.45, 180), (0.26, 0.45, 150)),
    ("hopper", 3.0, 7.0, (1.15, 0.50, 150), (0.72, 0.46, 170)),
    ("hopper", 8.0, 11.0, (0.60, 0.50, 100), (0.50, 0.50, 230)),
)
LENGTH = 11.0


def run_demo(out: Path, progress: Progress) -> str:
    """Write ``out/recordings`` and analyse it into ``out/results``; gives the closing lines."""
    recordings, results = out / "recordings", out / "results"
    if out.exists() and any(out.iterdir()) and not (results / LEDGER).is_file():
        raise UsageError(f"--out {out}: holds other things; name another folder")
    make_clip(recordings / "two_portraits.mp4")
    for portrait in PORTRAITS.glob("*.jpg"):
        shutil.copy(portrait, recordings / portrait.name)
    totals = run_batch([recordings], results, AnalyzeOptions(), redo="all", progress=progress)
    film = results / "items" / "two_portraits.mp4" / "annotated.mp4"
    return "\n".join(
        (
            totals.sentence(results),
            f"  the report             {results / 'report.html'}",
            f"  the annotated film     {film}",
            f"  its timeline           {film.with_name('timeline.csv')}",
            f"  annotated portraits    {results / 'items' / 'photos' / 'annotated'}",
            f"  shares per face        {results / 'summary.csv'}",
            "Your own recordings:     fermedia analyze VIDEO_OR_FOLDER --out DIR",
        )
    )


def make_clip(path: Path) -> None:
    """Write the clip: the portraits glide through the picture over a soft chord; nobody is there in between."""
    portraits = {name: _read(name) for name in FACES}
    with whole_file(path) as temporary, av.open(str(temporary), "w", format="mp4") as film:
        video = film.add_stream("libx264", rate=RATE, options={"crf": "20", "preset": "veryfast"})
        video.width, video.height, video.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        sound = film.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for index in range(int(LENGTH * RATE)):
            picture = _picture(index / RATE, portraits)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            film.mux(video.encode(frame))
        film.mux(video.encode(None))
        samples = _chord()
        for begin in range(0, len(samples), 1024):
            part = av.AudioFrame.from_ndarray(samples[None, begin : begin + 1024], format="fltp", layout="mono")
            part.sample_rate, part.pts, part.time_base = SOUND_RATE, begin, Fraction(1, SOUND_RATE)
            film.mux(sound.encode(part))
        film.mux(sound.encode(None))


def _read(name: str) -> Color:
    picture = cv2.imread(str(PORTRAITS / f"{name}.jpg"))
    assert picture is not None, f"{name}.jpg ships with fermedia"
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _picture(time: float, portraits: dict[str, Color]) -> Color:
    shade = np.linspace(70, 28, HEIGHT, dtype=np.float32)[:, None, None]
    picture = np.broadcast_to(shade * np.array([0.80, 0.92, 1.0], np.float32), (HEIGHT, WIDTH, 3)).copy()
    for name, begin, end, first, last in SCENES:
        if begin <= time < end:
            share = (time - begin) / (end - begin)
            share = share * share * (3 - 2 * share)
            x, y, width = (a + (b - a) * share for a, b in zip(first, last, strict=True))
            _paste(picture, portraits[name], FACES[name], (x * WIDTH, y * HEIGHT, width))
    return picture.astype(np.uint8)


def _paste(
    picture: NDArray[np.float32], portrait: Color, face: tuple[float, ...], place: tuple[float, float, float]
) -> None:
    """Lay a portrait into the picture so that its face has this middle and width; its edges fade out."""
    scale = place[2] / face[2]
    matrix = np.array([[scale, 0, place[0] - face[0] * scale], [0, scale, place[1] - face[1] * scale]], np.float32)
    height, width = portrait.shape[:2]
    inside = np.zeros((height, width), np.float32)
    inside[14:-14, 14:-14] = 1
    edge = cv2.GaussianBlur(inside, (0, 0), 7)
    size = (picture.shape[1], picture.shape[0])
    flags = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    layer = cv2.warpAffine(portrait, matrix, size, flags=flags).astype(np.float32)
    mask = cv2.warpAffine(edge, matrix, size)[..., None]
    picture += mask * (layer - picture)


def _chord() -> NDArray[np.float32]:
    """A quiet A minor seventh that swells and fades, so that one hears whether the sound was kept."""
    time = np.arange(int(LENGTH * SOUND_RATE)) / SOUND_RATE
    tones = sum(np.sin(2 * np.pi * f * time) for f in (220.0, 261.63, 329.63, 392.0))
    return np.asarray(0.02 * tones * np.sin(np.pi * time / LENGTH) ** 2, np.float32)
