"""Thousands of spoilt videos and images through ``analyze``: no crash, no hang, nothing outside its folder.

    python scripts/fuzz.py                              2,000 mutations, or as many as 30 minutes allow
    python scripts/fuzz.py --count 200 --seed 7         fewer, and others
    python scripts/fuzz.py --only 1234 --keep FOLDER    that one again; the file stays in FOLDER

Small real videos and images are mutated: bits flipped, blocks overwritten, cut out, doubled or swapped, the end cut
off, and fields that look like sizes or counts made absurd. Each batch of files goes through the command as people use
it, with workers and a timeout. It is then checked that every file has results or a failure, that the command ended as
it should, that no worker crashed or had to be ended, that no process held more memory than the bound, and that nothing
outside the results' folder changed. Exit status 1 if anything did; what offends is kept.
"""

from __future__ import annotations

import argparse
import csv
import random
import resource
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import cv2
import measuring
import numpy as np
from PIL import Image

from tests.videos import resized, write_video
from tests.vision.painting import portrait

#: Videos and images of one batch, and seconds that one of them may take.
BATCH, TIMEOUT = 50, 60.0

#: Bytes of memory that a process may hold (``--memory``).
MEMORY = 2_000_000_000

VIDEOS = {
    "h264.mp4": ("libx264", "yuv420p", "aac"),
    "h264.mkv": ("libx264", "yuv420p", "aac"),
    "h264.ts": ("libx264", "yuv420p", "aac"),
    "hevc.mp4": ("libx265", "yuv420p", None),
    "vp9.webm": ("libvpx-vp9", "yuv420p", "libopus"),
    "av1.mp4": ("libsvtav1", "yuv420p", None),
    "mpeg4.avi": ("mpeg4", "yuv420p", "mp2"),
    "mjpeg.mov": ("mjpeg", "yuvj420p", "pcm_s16le"),
    "mpeg2.mpg": ("mpeg2video", "yuv420p", "mp2"),
    "flv.flv": ("flv", "yuv420p", None),
    "wmv.wmv": ("wmv2", "yuv420p", None),
    "gif.gif": ("gif", "rgb8", None),
}
IMAGES = ("jpg", "png", "bmp", "tif", "webp", "avif", "heic", "ppm")


def main() -> int:
    """Run; print what came of the mutations."""
    parser = measuring.parser(__doc__)
    parser.add_argument("--count", type=int, default=2000, help="mutations")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=30.0, help="begin no batch later than that")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--memory", type=int, default=MEMORY, help="bytes that a process may hold")
    parser.add_argument("--only", type=int, help="the number of one mutation")
    parser.add_argument("--keep", type=Path, default=Path("fuzz-found"), help="for files that offend")
    arguments = parser.parse_args()
    until = time.monotonic() + 60 * arguments.minutes
    stages: Counter[str] = Counter()
    done, offences = 0, []
    with tempfile.TemporaryDirectory(prefix="fuzz-") as folder:
        seeds = make_seeds(Path(folder) / "seeds")
        numbers = [arguments.only] if arguments.only is not None else list(range(arguments.count))
        for begin in range(0, len(numbers), BATCH):
            if time.monotonic() > until:
                break
            part = numbers[begin : begin + BATCH]
            batch = Batch(Path(folder) / "work", seeds, arguments)
            offences += batch.run(part, stages)
            done += len(part)
            print(f"{done} mutations: {dict(stages)}, {len(offences)} offences", flush=True)
    for offence in offences:
        print(offence)
    print(f"{done} mutations, {len(offences)} offences; largest process {largest() / 1e6:.0f} MB")
    return 1 if offences else 0


def largest() -> int:
    """Bytes that the largest process so far held."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024


class Batch:
    """Some mutations through one run of the command. ``root`` holds nothing else."""

    def __init__(self, root: Path, seeds: list[Path], arguments: argparse.Namespace) -> None:
        self._root, self._seeds, self._arguments = root, seeds, arguments

    def run(self, numbers: list[int], stages: Counter[str]) -> list[str]:
        """Mutate, analyse, check; gives what was wrong, in words."""
        shutil.rmtree(self._root, ignore_errors=True)
        inputs, out = self._root / "in", self._root / "out"
        inputs.mkdir(parents=True)
        for number in numbers:
            seed = self._seeds[number % len(self._seeds)]
            # Each is a folder of its own, so that each image is an item.
            place = inputs / str(number)
            place.mkdir()
            content = mutated(seed.read_bytes(), random.Random(f"{self._arguments.seed} {number}"))
            (place / f"{number}-{seed.name}").write_bytes(content)
        before = self._others()
        command = [sys.executable, "-m", "fermedia", "analyze", str(inputs), "--out", str(out), "--quiet"]
        command += ["--timeout", str(TIMEOUT), "--workers", str(self._arguments.workers), "--detector", "fast"]
        held = largest()
        done = subprocess.run(command, capture_output=True, text=True, cwd=self._root / "in", errors="replace")
        offences = []
        if done.returncode not in (0, 3) or "Traceback" in done.stderr:
            offences.append(f"{numbers[0]}..{numbers[-1]}: status {done.returncode}\n{done.stderr[-2000:]}")
            self._keep_all()
            return offences
        if largest() > max(held, self._arguments.memory):
            offences.append(f"{numbers[0]}..{numbers[-1]}: a process held {largest() / 1e6:.0f} MB")
        if self._others() != before:
            offences.append(f"{numbers[0]}..{numbers[-1]}: files changed outside of the results")
        failed = self._failures(out)
        for number in numbers:
            found = [stage for stage, _ in failed.get(number, [])]
            made = list((out / "items" / str(number)).glob("**/item.json"))
            stages.update(found or ["fine"])
            if not found and not made:
                offences.append(f"{number}: neither results nor a failure")
                self._keep(number)
            offences += [f"{number}: {error}" for stage, error in failed.get(number, []) if stage in BAD]
            if set(found) & BAD:
                self._keep(number)
        return offences

    def _failures(self, out: Path) -> dict[int, list[tuple[str, str]]]:
        found: dict[int, list[tuple[str, str]]] = {}
        with (out / "failures.csv").open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                found.setdefault(int(row["item"].split("/")[0]), []).append((row["stage"], row["error"]))
        return found

    def _others(self) -> list[tuple[str, int, int]]:
        """Everything beside the results."""
        return sorted(
            (str(path), path.stat().st_size, path.stat().st_mtime_ns)
            for path in self._root.rglob("*")
            if self._root / "out" not in (path, *path.parents)
        )

    def _keep(self, number: int) -> None:
        self._arguments.keep.mkdir(exist_ok=True)
        for path in (self._root / "in" / str(number)).iterdir():
            shutil.copy(path, self._arguments.keep)

    def _keep_all(self) -> None:
        for path in (self._root / "in").iterdir():
            self._keep(int(path.name))


#: Stages of failures that a spoilt file must not come to: a worker that crashed or hung, and a fault of ours.
BAD = {"worker", "internal"}


# -- seeds ----------------------------------------------------------------------------------------------------------


def make_seeds(folder: Path) -> list[Path]:
    """Small real videos and images."""
    folder.mkdir()
    small = resized(portrait("collins")[:, :, ::-1], (96, 96), cv2.INTER_AREA)
    moving = [np.roll(small, 4 * number, axis=1) for number in range(6)]
    made = []
    for name, (codec, pixels, audio) in VIDEOS.items():
        full = pixels == "yuvj420p"
        made.append(write_video(folder / name, moving, codec=codec, pix_fmt=pixels, full_range=full, audio=audio))
    for suffix in IMAGES:
        path = folder / f"image.{suffix}"
        if suffix == "heic":
            import pillow_heif

            pillow_heif.register_heif_opener()
        Image.fromarray(small).save(path)
        made.append(path)
    return made


# -- mutations ------------------------------------------------------------------------------------------------------

#: What a size or a count may be made of: nothing, one, the largest of either sign, and what overflows by a little.
ABSURD = (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x10000, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF)


def mutated(content: bytes, chance: random.Random) -> bytes:
    """The content with one to four things wrong; most of them near the beginning or the end, where headers are."""
    spoilt = bytearray(content)
    for _ in range(chance.choice((1, 1, 2, 4))):
        chance.choice(MUTATIONS)(spoilt, chance)
    return bytes(spoilt)


def _place(spoilt: bytearray, chance: random.Random, size: int = 1) -> int:
    last = max(0, len(spoilt) - size)
    where = chance.choice(("begin", "end", "anywhere"))
    if where == "begin":
        return min(last, int(chance.expovariate(1 / 200)))
    if where == "end":
        return max(0, last - int(chance.expovariate(1 / 400)))
    return chance.randint(0, last)


def _flip(spoilt: bytearray, chance: random.Random) -> None:
    for _ in range(chance.choice((1, 1, 8, 64))):
        if spoilt:
            spoilt[_place(spoilt, chance)] ^= 1 << chance.randrange(8)


def _overwrite(spoilt: bytearray, chance: random.Random) -> None:
    size = chance.choice((1, 4, 16, 256))
    begin = _place(spoilt, chance, size)
    block = chance.choice((bytes(size), b"\xff" * size, chance.randbytes(size)))
    spoilt[begin : begin + size] = block[: max(0, len(spoilt) - begin)]


def _cut_out(spoilt: bytearray, chance: random.Random) -> None:
    size = chance.choice((1, 4, 64, 1024))
    begin = _place(spoilt, chance, size)
    del spoilt[begin : begin + size]


def _double(spoilt: bytearray, chance: random.Random) -> None:
    size = chance.choice((1, 8, 256, 4096))
    begin = _place(spoilt, chance, size)
    spoilt[begin:begin] = spoilt[begin : begin + size]


def _swap(spoilt: bytearray, chance: random.Random) -> None:
    size = chance.choice((4, 64, 512))
    one, two = (chance.randint(0, max(0, len(spoilt) - size)) for _ in range(2))
    first, second = spoilt[one : one + size], spoilt[two : two + size]
    spoilt[one : one + size], spoilt[two : two + size] = second, first


def _cut_off(spoilt: bytearray, chance: random.Random) -> None:
    del spoilt[chance.randint(0, len(spoilt)) :]


def _absurd(spoilt: bytearray, chance: random.Random) -> None:
    """A number of 2, 4 or 8 bytes, of either order."""
    form = chance.choice((">H", "<H", ">I", "<I", ">I", "<I", ">Q", "<Q"))
    size = struct.calcsize(form)
    if len(spoilt) >= size:
        begin = _place(spoilt, chance, size)
        struct.pack_into(form, spoilt, begin, chance.choice(ABSURD) & ((1 << 8 * size) - 1))


def _after_a_name(spoilt: bytearray, chance: random.Random) -> None:
    """The size before, or a number after, one of the four-letter names that containers are made of."""
    names = [n for n in range(4, len(spoilt) - 8) if all(_is_letter(b) for b in spoilt[n : n + 4])]
    if names:
        begin = chance.choice(names) + chance.choice((-4, 4))
        struct.pack_into(chance.choice((">I", "<I")), spoilt, begin, chance.choice(ABSURD))


def _is_letter(byte: int) -> bool:
    return 97 <= byte <= 122 or 65 <= byte <= 90 or 48 <= byte <= 57


MUTATIONS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _flip,
    _overwrite,
    _cut_out,
    _double,
    _swap,
    _cut_off,
    _absurd,
    _absurd,
    _after_a_name,
    _after_a_name,
)


if __name__ == "__main__":
    sys.exit(main())
