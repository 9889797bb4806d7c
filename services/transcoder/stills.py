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
from services.transcoder.kept import PNG_TEXTS, png_without
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
AVIF_COST = 1.25
"""Memory a pixel while decoding, as against other formats."""
MOST_PIXELS_LOSSLESS = 12_000_000
"""Beyond, lossless is not tried: it takes 20 bytes of memory a pixel."""
SAMPLE, MOST_COLOURS_LOSSLESS = (64, 64), 300
"""Nor where a sample of 64 x 64 pixels has more colours: of 65 screenshots and plots, none of those was smaller."""


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
    if known is Format.PNG:
        # Pillow inflates texts that nobody asks for, and refuses the picture if they are long.
        data = png_without(data, PNG_TEXTS)
    try:
        image = Image.open(BytesIO(data), formats=(known.value,))
    except FAULTS as fault:
        raise refusal(fault, f"the {known.value}") from fault
    check_pixels(*image.size, limits, AVIF_COST if known is Format.AVIF else 1.0)
    return image


def check_pixels(width: int, height: int, limits: Limits, cost: float = 1.0) -> None:
    """Refuse too large a picture, the sooner the more a pixel of it costs.

    Raises:
        Unrenderable: It is.
    """
    allowed = int(limits.frame_pixels / cost)
    if width * height > allowed:
        raise Unrenderable(f"it has {width} x {height} pixels; {allowed:,} are allowed in all")


def decode(image: Image.Image, max_width: int | None) -> Image.Image:
    """Decode to upright sRGB; where a width is given, JPEG need not be decoded much larger than that.

    Raises:
        Unrenderable: The file is broken.
    """
    try:
        if max_width:
            image.draft("RGB", (max_width * 2, max_width * 2))  # whichever side will be the width
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        return to_srgb(image)
    except FAULTS as fault:
        raise refusal(fault, "it") from fault


def shrink(image: Image.Image, width: int) -> Image.Image:
    """Scale down to a width, with a filter that neither blurs nor rings much; never up."""
    if width >= image.width:
        return image
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def encode(image: Image.Image, quality: int, threads: int) -> Still:
    """Encode lossy and, where that may be smaller, lossless, at once where there are threads; give the smaller."""
    lossy = partial(_save, image, **lossy_options(quality))
    if image.width * image.height > MOST_PIXELS_LOSSLESS or not _few_colours(image):
        return Still(lossy(), lossless=False)
    with ThreadPoolExecutor(min(threads, 2)) as pool:
        # Pillow notes on an image how it is being saved: each thread needs one of its own.
        trial = pool.submit(encode_exactly, image.copy())
        seen, exact = pool.submit(lossy).result(), trial.result()
    return exact if len(exact.data) <= len(seen) else Still(seen, lossless=False)


def _few_colours(image: Image.Image) -> bool:
    sample = image.resize(SAMPLE, Image.Resampling.NEAREST)
    return sample.getcolors(MOST_COLOURS_LOSSLESS) is not None


def encode_exactly(image: Image.Image) -> Still:
    """Encode so that every visible pixel is the source's."""
    return Still(_save(image, lossless=True, quality=LOSSLESS_EFFORT, method=METHOD), lossless=True)


def _save(image: Image.Image, **how: int) -> bytes:
    out = BytesIO()
    # Pillow would carry these over from the source.
    image.save(out, FORMAT, exif=b"", icc_profile=b"", xmp=b"", **how)
    return out.getvalue()
