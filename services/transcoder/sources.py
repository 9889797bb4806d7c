"""Play an animation onto a canvas, frame by frame: a GIF, whatever Pillow plays, or either of them smaller."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Executor, Future
from typing import Protocol

import numpy as np
from PIL import Image

from services.transcoder import lzw
from services.transcoder.canvas import OPAQUE, Box, Paint, Pixels, Touched, blank
from services.transcoder.colour import to_srgb
from services.transcoder.composite import Screen
from services.transcoder.encode import picture
from services.transcoder.gif import Gif, shown_ms
from services.transcoder.refusals import FAULTS

Step = tuple[Touched, int]
"""What may have changed on the canvas, and the milliseconds until the next step."""


class Source(Protocol):
    """An animation.

    Attributes:
        width: Pixels.
        height: Pixels.
        plays: How often it is shown; 0 for ever.
        pixels: The canvas, as it is after the latest step.
    """

    width: int
    height: int
    plays: int
    pixels: Pixels

    def play(self, pool: Executor, ahead: int) -> Iterator[Step]:
        """Play once, with work for as many frames given to the pool in advance; a source plays only once."""
        ...


class GifSource:
    """A GIF, its frames decoded in threads."""

    def __init__(self, data: bytes, gif: Gif) -> None:
        self._data = data
        self._gif = gif
        self._screen = Screen(gif.width, gif.height)
        self.width, self.height, self.plays = gif.width, gif.height, gif.plays
        self.pixels = self._screen.pixels

    def play(self, pool: Executor, ahead: int) -> Iterator[Step]:
        """Decode some frames in advance, draw them in order."""
        stride = self.pixels.shape[1]
        coming: deque[Future[Paint]] = deque()
        frames = iter(self._gif.frames)
        for frame in self._gif.frames:
            while len(coming) < ahead and (following := next(frames, None)):
                coming.append(pool.submit(lzw.paint, self._data, following, self.width, stride, self.height))
            yield self._screen.draw(coming.popleft().result(), frame.disposal), frame.duration_ms


class PagesSource:
    """An APNG, animated WebP or AVIF sequence; Pillow composites it."""

    def __init__(self, image: Image.Image, first: int) -> None:
        self._image = image
        self._first = first
        self.width, self.height = image.size
        self.plays = int(image.info.get("loop", 0))
        self.pixels = blank(self.width, self.height)

    def play(self, pool: Executor, ahead: int) -> Iterator[Step]:  # noqa: ARG002 - Pillow goes one by one
        """Give every frame whole; a file that breaks off ends there."""
        whole = Box(0, 0, self.width, self.height)
        for page in range(self._first, getattr(self._image, "n_frames", 1)):
            try:
                self._image.seek(page)
                self._image.load()
                shown = to_srgb(self._image) if "icc_profile" in self._image.info else self._image
            except FAULTS:
                return
            _put(self.pixels, shown)
            duration = round(float(self._image.info.get("duration", 0)))
            yield Touched(whole, None, None, clears=True), shown_ms(duration)


class Scaled:
    """Another source, scaled down to a width."""

    def __init__(self, source: Source, width: int) -> None:
        self._source = source
        self.width, self.height = width, max(1, round(source.height * width / source.width))
        self.plays = source.plays
        self.pixels = blank(self.width, self.height)

    def play(self, pool: Executor, ahead: int) -> Iterator[Step]:
        """Scale every frame of the other source."""
        source = self._source
        whole = Box(0, 0, self.width, self.height)
        for touched, duration in source.play(pool, ahead):
            shown = picture(source.pixels[: source.height, : source.width], opaque=False)
            _put(self.pixels, shown.resize((self.width, self.height), Image.Resampling.LANCZOS))
            yield Touched(whole, None, None, clears=touched.clears), duration


def _put(canvas: Pixels, image: Image.Image) -> None:
    """Put a whole picture on a canvas; what cannot be seen has no colour."""
    opaque = image.mode == "RGB"
    pixels = np.asarray(image.convert("RGBA")).view(np.uint32)[..., 0]
    part = canvas[: image.height, : image.width]
    if opaque:
        part[:] = pixels
    else:
        np.multiply(pixels, pixels & OPAQUE != 0, out=part)
