"""Decode a still image and encode it as WebP: upright, in sRGB, without metadata."""

import warnings
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
from services.transcoder.encode import FORMAT, METHOD
from services.transcoder.rendition import Limits, Unrenderable
from services.transcoder.sniff import Format

Image.preinit()
# A sandboxed child has no files: whatever Pillow would load at first use is loaded here.
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
# Pillow warns of what its own limit finds too large, and refuses at twice that; both are a refusal here.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

FAULTS = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    IndexError,
    KeyError,
    OverflowError,
    EOFError,
    ZeroDivisionError,
    AttributeError,
    AssertionError,
    NotImplementedError,
    RuntimeError,
    MemoryError,
)
"""What Pillow's decoders raise for broken files."""


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
        _check(*webp.canvas(data), limits)
    try:
        image = Image.open(BytesIO(data), formats=(known.value,))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unrenderable(f"the {known.value} has far more pixels than are allowed") from None
    except FAULTS as fault:
        raise Unrenderable(f"the {known.value} cannot be read: {_first_line(fault)}") from fault
    _check(*image.size, limits)
    return image


def decode(image: Image.Image, max_width: int | None) -> Image.Image:
    """Decode to upright sRGB of at most this width.

    Raises:
        Unrenderable: The file is broken.
    """
    try:
        if max_width:
            image.draft("RGB", (max_width * 2, 1))
        image.load()
        image = to_srgb(ImageOps.exif_transpose(image))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Unrenderable("it has far more pixels than are allowed") from None
    except FAULTS as fault:
        raise Unrenderable(f"it breaks off or is damaged: {_first_line(fault)}") from fault
    side = webp.MOST_PIXELS_A_SIDE
    width = min(max_width or side, image.width, side, image.width * side // image.height or 1)
    return shrink(image, width) if width < image.width else image


def shrink(image: Image.Image, width: int) -> Image.Image:
    """Scale down to a width, with a filter that neither blurs nor rings much."""
    height = max(1, round(image.height * width / image.width))
    return image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3.0)


def encode(image: Image.Image, quality: int) -> Still:
    """Encode lossy and lossless, and give the smaller."""
    lossy = _save(image, quality=quality, method=METHOD)
    exact = encode_exactly(image)
    return exact if len(exact.data) <= len(lossy) else Still(lossy, lossless=False)


def encode_exactly(image: Image.Image) -> Still:
    """Encode so that every visible pixel is the source's."""
    return Still(_save(image, lossless=True, quality=20, method=METHOD), lossless=True)


def _save(image: Image.Image, **how: bool | int) -> bytes:
    out = BytesIO()
    # Pillow would carry these over from the source.
    image.save(out, FORMAT, exif=b"", icc_profile=b"", xmp=b"", **how)
    return out.getvalue()


def _check(width: int, height: int, limits: Limits) -> None:
    if width * height > limits.frame_pixels:
        raise Unrenderable(f"it has {width} x {height} pixels; {limits.frame_pixels:,} are allowed")


def _first_line(fault: BaseException) -> str:
    return (str(fault) or type(fault).__name__).splitlines()[0][:200]
