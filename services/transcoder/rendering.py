"""What the rendering child runs; importing it loads all that an image may need, for the child can open no file.

The service itself only names it.
"""

import warnings
from contextlib import suppress
from io import BytesIO
from typing import Any, cast

import numpy as np
from PIL import Image, ImageCms

from services.transcoder.rendition import RenderOptions, Rendition, Unrenderable
from services.transcoder.transcode import transcode

_SIDE = 24
_FORMATS = ("AVIF", "BMP", "GIF", "ICO", "JPEG", "PNG", "TIFF", "WEBP")
_SVG = b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg'><rect width='9' height='9'/><text>a</text></svg>"


def render(data: bytes, options: RenderOptions) -> Rendition:
    """Return the rendition of `data`; see `transcode`."""
    return transcode(data, options)


def _load_everything() -> None:
    """Render one image of each kind: libraries import some of their parts only when they meet what these are for."""
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 255, (_SIDE, _SIDE, 3), np.uint8))
    profile = ImageCms.ImageCmsProfile(cast("Any", ImageCms.createProfile("LAB"))).tobytes()
    sources = [_SVG, b"", b"nothing", _save(noise, "PNG", icc_profile=profile), _save(noise.convert("CMYK"), "JPEG")]
    stills = [_save(noise, kind) for kind in _FORMATS]
    turned = [noise.rotate(90), noise.rotate(180)]
    sources += [*stills, *(still[: _SIDE * 2] for still in stills)]
    sources += [_save(noise, kind, save_all=True, append_images=turned) for kind in ("GIF", "PNG", "WEBP")]
    for source in sources:
        with suppress(Unrenderable), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # half an image is meant to be half an image
            render(source, RenderOptions(max_width=_SIDE // 2))


def _save(image: Image.Image, kind: str, **options: object) -> bytes:
    out = BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


_load_everything()
