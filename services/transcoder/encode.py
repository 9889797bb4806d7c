"""Encode pixels as WebP bitstreams through Pillow, which frees the interpreter for other threads."""

from io import BytesIO

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


def lossy(region: Region, quality: int) -> bytes:
    """Give a region's chunks for an ANMF frame, at a rendition's quality 1 to 100."""
    chunks = _save(region.pixels, region.cover is not Cover.ALPHA, quality=min(quality + RAISE, 100), method=METHOD)
    if region.tiles is None:
        return chunks
    high, wide = region.pixels.shape
    return tile_mask(region.tiles, wide, high) + chunks


def lossless(region: Region) -> bytes:
    """Give a region's chunks for an ANMF frame, every visible pixel exact."""
    return _save(region.pixels, region.cover is Cover.ALL, lossless=True, quality=40, method=METHOD)


def picture(pixels: Pixels, opaque: bool) -> Image.Image:
    """See RGBA pixels as an image, without a copy."""
    high, wide = pixels.shape
    mode = "RGBX" if opaque else "RGBA"
    buffer = np.ascontiguousarray(pixels)
    return Image.frombuffer(mode, (wide, high), buffer, "raw", mode, 0, 1)


def _save(pixels: Pixels, opaque: bool, **how: bool | int) -> bytes:
    out = BytesIO()
    picture(pixels, opaque).save(out, FORMAT, **how)
    return bitstream(out.getvalue())
