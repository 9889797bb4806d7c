"""Decode a still image and encode it as WebP: upright, in sRGB, without metadata."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from io import BytesIO

import msgspec
from PIL import (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    Image,
    ImageOps,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)

from services.transcoder import webp
from services.transcoder.colour import to_srgb
from services.transcoder.encode import FORMAT, METHOD, lossy_options
from services.transcoder.refusals import FAULTS, refusal
from services.transcoder.rendition import Limits, Unrenderable
from services.transcoder.sniff import Format

Image.preinit()
PLUGINS = (
    AvifImagePlugin,
    BmpImagePlugin,
    GifImagePlugin,
    IcoImagePlugin,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    WebPImagePlugin,
)
"""A sandboxed child has no files: what Pillow would load at first use is loaded here."""
LOSSLESS_EFFORT = 20
"""Of 100, within the method: more costs more than twice the time for a few percent."""


class Still(msgspec.Struct, frozen=True):
    """An encoded still and whether nothing was lost."""

    data: bytes
    lossless: bool


def open_image(data: bytes, known: Format, limits: Limits) -> Image.Image:
    """Read the header of an image.

    Raises:
        Unrenderable: It cannot be read, or it has too many pixels.
    """
    if known is Format.WEBP:
        # libwebp allocates its canvas as soon as the file is opened.
        check_pixels(*webp.canvas(data), limits)
    try:
        image = Image.open(BytesIO(data), formats=(known.value,))
    except FAULTS as fault:
        raise refusal(fault, f"the {known.value}") from fault
    check_pixels(*image.size, limits)
    return image


def check_pixels(width: int, height: int, limits: Limits) -> None:
    """Refuse too large a picture.

    Raises:
        Unrenderable: It is.
    """
    if width * height > limits.frame_pixels:
        raise Unrenderable(f"it has {width} x {height} pixels; {limits.frame_pixels:,} are allowed in all")


def decode(image: Image.Image, max_width: int | None) -> Image.Image:
    """Decode to upright sRGB; where a width is given, JPEG need not be decoded much larger than that.

    Raises:
        Unrenderable: The file is broken.
    """
    try:
        if max_width:
            image.draft("RGB", (max_width * 2, 1))
        image.load()
        return to_srgb(ImageOps.exif_transpose(image))
    except FAULTS as fault:
        raise refusal(fault, "it") from fault


def shrink(image: Image.Image, width: int) -> Image.Image:
    """Scale down to a width, with a filter that neither blurs nor rings much; never up."""
    if width >= image.width:
        return image
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def encode(image: Image.Image, quality: int, threads: int) -> Still:
    """Encode lossy and lossless, at once where there are threads, and give the smaller."""
    with ThreadPoolExecutor(min(threads, 2)) as pool:
        # Pillow notes on an image how it is being saved: each thread needs one of its own.
        exactly = pool.submit(encode_exactly, image.copy())
        lossy = pool.submit(partial(_save, image, **lossy_options(quality)))
        exact, seen = exactly.result(), lossy.result()
    return exact if len(exact.data) <= len(seen) else Still(seen, lossless=False)


def encode_exactly(image: Image.Image) -> Still:
    """Encode so that every visible pixel is the source's."""
    return Still(_save(image, lossless=True, quality=LOSSLESS_EFFORT, method=METHOD), lossless=True)


def _save(image: Image.Image, **how: int) -> bytes:
    out = BytesIO()
    # Pillow would carry these over from the source.
    image.save(out, FORMAT, exif=b"", icc_profile=b"", xmp=b"", **how)
    return out.getvalue()
