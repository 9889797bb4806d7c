"""Play a WebP as a viewer does, through libwebp's own animation decoder."""

from collections.abc import Iterator
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence


def play(data: bytes) -> Iterator[tuple[NDArray[np.uint8], int]]:
    """Give each frame as (height, width, 4) RGBA, 0 where transparent, and its milliseconds."""
    with Image.open(BytesIO(data), formats=("WEBP",)) as image:
        for frame in ImageSequence.Iterator(image):
            frame.load()
            pixels = np.array(frame.convert("RGBA"))
            pixels[pixels[..., 3] == 0] = 0
            yield pixels, int(frame.info.get("duration", 0))


def at_times(data: bytes, ends: list[int]) -> Iterator[NDArray[np.uint8]]:
    """Give what is on the screen just before each of these milliseconds."""
    frames = play(data)
    pixels, until = next(frames)
    for end in ends:
        while until < end and (following := next(frames, None)):
            pixels, until = following[0], until + following[1]
        yield pixels
