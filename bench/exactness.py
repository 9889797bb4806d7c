"""Check that in lossless mode every frame of every GIF of a directory is what libvips composites.

    python bench/exactness.py DIR

libvips reads GIFs with libnsgif, which shares no code with the transcoder.
"""

import argparse
import sys
from io import BytesIO
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

try:
    import pyvips  # pyright: ignore[reportMissingImports] - not a dependency
except (ImportError, OSError) as missing:
    sys.exit(f"{missing}: this compares with libvips; .venv/bin/python -m pip install pyvips, apt install libvips42")

Picture = NDArray[np.uint8]


def main(folder: Path) -> int:
    """Compare all files of the folder; give the number of frames and durations that differ."""
    from services.transcoder.animate import animate  # noqa: PLC0415 - the path is set below
    from services.transcoder.gif import parse  # noqa: PLC0415
    from services.transcoder.sources import GifSource  # noqa: PLC0415

    wrong = 0
    for path in sorted(folder.rglob("*.gif")):
        data = path.read_bytes()
        made = animate(GifSource(data, parse(data)), 75, lossless=True, threads=2)
        expected, delays = _vips(path)
        different = _different(made.data, expected, delays)
        wrong += different + (made.duration_ms != sum(delays))
        print(f"{path.name}: {different} of {len(delays)} frames differ, {made.duration_ms} of {sum(delays)} ms")
    return wrong


def _vips(path: Path) -> tuple[Picture, list[int]]:
    """Give all frames (count, height, width, channels) and their milliseconds."""
    vips: Any = pyvips  # pyright: ignore[reportUnknownVariableType]
    image = vips.Image.new_from_file(str(path), n=-1)
    delays = [delay if delay > 10 else 100 for delay in image.get("delay")]
    pixels = np.ndarray(buffer=image.write_to_memory(), dtype=np.uint8, shape=(image.height, image.width, image.bands))
    return pixels.reshape(len(delays), -1, image.width, image.bands), delays


def _different(made: bytes, expected: Picture, delays: list[int]) -> int:
    """Count the frames that are not the same at the end of their time."""
    different = until = 0
    shown = ImageSequence.Iterator(Image.open(BytesIO(made)))
    pixels: Picture | None = None
    for picture, end in zip(expected, accumulate(delays), strict=True):
        while until < end:
            frame = next(shown)
            frame.load()
            until += frame.info["duration"]
            pixels = np.asarray(frame.convert("RGBA" if expected.shape[-1] == 4 else "RGB"))
        different += pixels is None or not np.array_equal(picture, pixels)
    return different


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent.parent))
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", type=Path)
    sys.exit(bool(main(parser.parse_args().dir)))
