"""Peak memory of analysing one large image, annotated image included, for several kinds of file.

    python scripts/measure_photos.py [megapixels]

The images hold one face and noise; they are made on the fly, and every analysis has a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import measuring

MAKE = """
import sys
import cv2, numpy as np
from PIL import Image
from fermedia.commands.demo import PORTRAITS
path, megapixels, kind, orientation = sys.argv[1], float(sys.argv[2]), sys.argv[3], int(sys.argv[4])
height = round((megapixels * 1e6 * 7 / 10) ** 0.5)
width = round(height * 10 / 7)
image = np.full((height, width, 3), 90, np.uint8)
face = cv2.imread(str(sorted(PORTRAITS.glob("*.jpg"))[0]))[:, :, ::-1]
face = cv2.resize(face, (height * face.shape[1] // face.shape[0], height), interpolation=cv2.INTER_CUBIC)
image[:, : face.shape[1]] = face[:, :width]
noise = np.random.default_rng(0).integers(0, 12, (64, width, 3), dtype=np.uint8)
for top in range(0, height, 64):
    rows = image[top : top + 64]
    cv2.add(rows, noise[: len(rows)], dst=rows)
exif = Image.Exif()
exif[0x0112] = orientation
if kind == "heic":
    from pillow_heif import register_heif_opener
    register_heif_opener()
more = {"progressive": {"progressive": True}, "png": {"compress_level": 1}}.get(kind, {})
if kind in ("jpeg", "progressive"):
    more |= {"quality": 90}
Image.fromarray(image).save(path, exif=exif, **more)
"""


def main() -> None:
    """Print a line per kind of file."""
    megapixels = sys.argv[1] if len(sys.argv) > 1 else "100"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for kind, suffix, orientation in (
            ("jpeg", "jpg", 1),
            ("jpeg, turned", "jpg", 6),
            ("progressive", "jpg", 1),
            ("png", "png", 1),
            ("webp", "webp", 1),
            ("tiff", "tif", 1),
            ("heic", "heic", 1),
        ):
            path = folder / f"image.{suffix}"
            made = [sys.executable, "-c", MAKE, str(path), megapixels, kind.split(",")[0], str(orientation)]
            subprocess.run(made, check=True)
            run = measuring.analyze(path, folder / f"out {kind}")
            print(f"{kind:14} {megapixels} MP: {run.peak:5.0f} MiB at most, {run.wall:.1f} s", flush=True)
            path.unlink()


if __name__ == "__main__":
    main()
