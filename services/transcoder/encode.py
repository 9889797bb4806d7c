"""Encode pixels as WebP bitstreams through Pillow, which frees the interpreter for other threads."""

from io import BytesIO

import numpy as np
from PIL import Image

from services.transcoder.composite import TILE
from services.transcoder.delta import OPAQUE, Cover, Region
from services.transcoder.lzw import Pixels
from services.transcoder.webp import bitstream

FORMAT = "WEBP"
METHOD = 2
"""libwebp's effort: 0 gives 40 % more bytes for little time, 4 costs twice the CPU for 5 %."""


def lossy(region: Region, quality: int) -> bytes:
    """Give a region's chunks for an ANMF frame, at libwebp's quality 0 to 100."""
    return bitstream(_save(region, quality=quality, method=METHOD))


def lossless(region: Region) -> bytes:
    """Give a region's chunks for an ANMF frame, every visible pixel exact."""
    return bitstream(_save(region, lossless=True, quality=40, method=METHOD))


def picture(pixels: Pixels, opaque: bool) -> Image.Image:
    """See RGBA pixels as an image, without a copy."""
    high, wide = pixels.shape
    mode = "RGBX" if opaque else "RGBA"
    buffer = np.ascontiguousarray(pixels)
    return Image.frombuffer(mode, (wide, high), buffer, "raw", mode, 0, 1)


def _save(region: Region, **how: bool | int) -> bytes:
    pixels = region.pixels
    if region.tiles is not None:
        big = region.tiles.repeat(TILE, 0).repeat(TILE, 1)[: pixels.shape[0], : pixels.shape[1]]
        pixels = np.where(big, pixels, pixels & ~OPAQUE)
    out = BytesIO()
    picture(pixels, region.cover is Cover.ALL).save(out, FORMAT, **how)
    return out.getvalue()
