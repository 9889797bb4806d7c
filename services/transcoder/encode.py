"""Encode pixels as WebP bitstreams through Pillow, which frees the interpreter for other threads."""

from io import BytesIO

import msgspec
import numpy as np
from PIL import Image

from services.transcoder.canvas import Pixels
from services.transcoder.delta import Cover, Region
from services.transcoder.tilemask import tile_mask
from services.transcoder.webp import bitstream

FORMAT = "WEBP"
METHOD = 2
"""libwebp's effort: 0 gives 40 % more bytes for little time, 4 costs twice the CPU for 5 %."""
RAISE = 5
"""A rendition's quality means what it looks like: method 2 needs this much more for what slower encoders of whole
frames show at the same number."""
LOSSLESS_OPTIONS = {"lossless": True, "quality": 40, "method": METHOD}


class Encoded(msgspec.Struct, frozen=True):
    """A region's chunks for an ANMF frame, and whether they are exact."""

    chunks: bytes
    lossless: bool


def lossy(region: Region, quality: int) -> Encoded:
    """Encode at a rendition's quality, 1 to 100."""
    chunks = _save(region.pixels, region.cover is not Cover.ALPHA, **lossy_options(quality))
    if region.tiles is not None:
        high, wide = region.pixels.shape
        chunks = tile_mask(region.tiles, wide, high) + chunks
    return Encoded(chunks, lossless=False)


def lossless(region: Region) -> Encoded:
    """Encode so that every visible pixel is exact."""
    chunks = _save(region.pixels, region.cover is Cover.ALL, **LOSSLESS_OPTIONS)
    return Encoded(chunks, lossless=True)


def smaller(region: Region, quality: int) -> Encoded:
    """Encode both ways, and give the smaller."""
    return min(lossless(region), lossy(region, quality), key=lambda encoded: len(encoded.chunks))


def nothing() -> Encoded:
    """Give one transparent pixel, which changes nothing."""
    return Encoded(_save(np.zeros((1, 1), np.uint32), opaque=False, **LOSSLESS_OPTIONS), lossless=True)


def lossy_options(quality: int) -> dict[str, int]:
    """Give Pillow's options for a rendition's quality, 1 to 100."""
    return {"quality": min(quality + RAISE, 100), "method": METHOD}


def picture(pixels: Pixels, opaque: bool) -> Image.Image:
    """See RGBA pixels as an image, without a copy."""
    high, wide = pixels.shape
    mode = "RGBX" if opaque else "RGBA"
    return Image.frombuffer(mode, (wide, high), np.ascontiguousarray(pixels), "raw", mode, 0, 1)


def _save(pixels: Pixels, opaque: bool, **how: int) -> bytes:
    out = BytesIO()
    picture(pixels, opaque).save(out, FORMAT, **how)
    return bitstream(out.getvalue())
