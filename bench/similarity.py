"""How alike a source and its WebP look: SSIM of the luma, frame by frame as a viewer sees them.

Source: Wang et al., "Image quality assessment: from error visibility to structural similarity" (2004), on
windows of 8 x 8 pixels, 4 apart, over white.
"""

import statistics
from collections.abc import Iterator
from io import BytesIO
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from services.transcoder import gif, lzw
from services.transcoder.colour import to_srgb
from services.transcoder.composite import Screen

Luma = NDArray[np.float32]
STEP = 4
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2


class Similarity(NamedTuple):
    """SSIM over all frames: the mean and the worst."""

    mean: float
    worst: float


def compare(source: bytes, made: bytes) -> Similarity:
    """Compare at the end of each source frame's time."""
    shown = _webp_frames(made)
    until, now = next(shown)
    values: list[float] = []
    for end, luma in _source_frames(source):
        while until < end and (following := next(shown, None)):
            until, now = following
        values.append(ssim(luma, now))
    return Similarity(statistics.fmean(values), min(values))


def ssim(one: Luma, other: Luma) -> float:
    """Give the mean SSIM of two lumas of 0 to 255."""
    a, b, aa, bb, ab = (_windows(values) for values in (one, other, one * one, other * other, one * other))
    covariance, variance = ab - a * b, aa + bb - a * a - b * b
    top = (2 * a * b + C1) * (2 * covariance + C2)
    return float((top / ((a * a + b * b + C1) * (variance + C2))).mean())


def _windows(values: Luma) -> NDArray[np.float64]:
    high, wide = (side // STEP * STEP for side in values.shape)
    blocks = values[:high, :wide].reshape(high // STEP, STEP, wide // STEP, STEP).sum((1, 3), dtype=np.float64)
    return (blocks[1:, 1:] + blocks[:-1, 1:] + blocks[1:, :-1] + blocks[:-1, :-1]) / (4 * STEP * STEP)


def _source_frames(data: bytes) -> Iterator[tuple[int, Luma]]:
    """Give each frame and the millisecond at which its time is over."""
    if not data.startswith(b"GIF8"):
        yield 0, _luma(to_srgb(Image.open(BytesIO(data))))
        return
    parsed, end = gif.parse(data), 0
    screen = Screen(parsed.width, parsed.height)
    for frame in parsed.frames:
        paint = lzw.paint(data, frame, parsed.width, screen.pixels.shape[1], parsed.height)
        screen.draw(paint, frame.disposal)
        end += frame.duration_ms
        shown = np.ascontiguousarray(screen.pixels[: parsed.height, : parsed.width])
        yield end, _luma(Image.fromarray(shown.view(np.uint8).reshape(*shown.shape, 4)))


def _webp_frames(data: bytes) -> Iterator[tuple[int, Luma]]:
    end = 0
    with Image.open(BytesIO(data)) as image:
        for frame in ImageSequence.Iterator(image):
            frame.load()
            end += frame.info.get("duration", 0)
            yield end, _luma(to_srgb(frame.copy()))


def _luma(image: Image.Image) -> Luma:
    if image.mode == "RGBA":
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return np.asarray(image.convert("L"), np.float32)
