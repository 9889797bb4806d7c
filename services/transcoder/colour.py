"""Bring any image's pixels to 8-bit sRGB, with or without alpha."""

from functools import lru_cache
from io import BytesIO
from typing import Any, cast

import numpy as np
from PIL import Image, ImageCms

SRGB = ImageCms.ImageCmsProfile(cast("Any", ImageCms.createProfile("sRGB")))
_SPACES = {"RGB": ("RGB", "RGBA"), "GRAY": ("L",), "CMYK": ("CMYK",)}
_SIXTEEN_BITS = 65_535
_PIXELS_AT_ONCE = 1_000_000


def to_srgb(image: Image.Image) -> Image.Image:
    """Give the image as RGB, or RGBA where anything of it is translucent, in sRGB, 8 bits per channel.

    A profile that cannot be read, or that is of another colour space than the pixels, is ignored as browsers do.
    """
    profile = image.info.get("icc_profile")
    plain = _plain(image)
    if isinstance(profile, bytes) and profile and (transform := _transform(profile, plain.mode)):
        plain = _apply(transform, plain)
    elif plain.mode not in {"RGB", "RGBA"}:
        plain = plain.convert("RGBA" if plain.mode == "LA" else "RGB")
    return _without_idle_alpha(plain)


def _plain(image: Image.Image) -> Image.Image:
    """Give 8 bits per channel, as one of L, LA, RGB, RGBA, CMYK."""
    if image.mode.startswith(("I", "F")):
        return _eight_bits(image)
    if image.mode in {"L", "RGB", "CMYK", "RGBA"} and "transparency" not in image.info:
        return image
    if image.mode in {"1", "L"} and "transparency" not in image.info:
        return image.convert("L")
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _eight_bits(image: Image.Image) -> Image.Image:
    """Scale 16 and 32 bits to 8: Pillow's own conversion clips instead."""
    values = np.asarray(image)
    most = float(values.max(initial=0))
    if image.mode == "F":
        top = 1.0 if most <= 1 else max(most, 255.0)
    else:
        top = _SIXTEEN_BITS if most <= _SIXTEEN_BITS else 2**31 - 1
    scaled = np.empty(values.shape, np.uint8)
    for rows in np.array_split(np.arange(len(values)), max(1, values.size // _PIXELS_AT_ONCE)):
        scaled[rows] = np.clip(values[rows].astype(np.float32) * (255 / top) + 0.5, 0, 255)
    return Image.fromarray(scaled)


def _transform(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """Give the transform to sRGB; None where there is nothing to do, or no way to do it."""
    try:
        return _built(profile, mode)
    except (OSError, ValueError, TypeError, ImageCms.PyCMSError):
        return None


@lru_cache(maxsize=32)
def _built(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    source = ImageCms.ImageCmsProfile(BytesIO(profile))
    known = cast("Any", source.profile)  # Pillow annotates it as the file it came from
    if "sRGB" in (known.profile_description or ""):
        return None
    if mode not in _SPACES.get(known.xcolor_space.strip(), ()):
        return None
    target = "RGBA" if mode == "RGBA" else "RGB"
    return ImageCms.buildTransform(source, SRGB, mode, target)


def _apply(transform: ImageCms.ImageCmsTransform, image: Image.Image) -> Image.Image:
    changed = ImageCms.applyTransform(image, transform)
    return changed if changed is not None else image


def _without_idle_alpha(image: Image.Image) -> Image.Image:
    """Drop an alpha channel that hides nothing."""
    if image.mode == "RGBA" and image.getchannel("A").getextrema() == (255, 255):
        return image.convert("RGB")
    return image
