"""Rendering in the sandbox: whatever can be rendered outside can be rendered inside."""

from collections.abc import AsyncIterator
from io import BytesIO

import msgspec
import numpy as np
import pytest
from PIL import Image

from services.transcoder import RenderOptions, Rendition
from services.transcoder.rendering import render
from shared.sandbox import Sandbox

SIDE = 60
MODES = {
    "PNG": ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"),
    "JPEG": ("L", "RGB", "CMYK"),
    "WEBP": ("RGB", "RGBA"),
    "GIF": ("P", "L"),
    "TIFF": ("RGB", "CMYK", "I;16"),
    "BMP": ("RGB", "P"),
    "AVIF": ("RGB",),
    "ICO": ("RGBA",),
}
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="60" height="60"><rect width="30" height="30" fill="red"/></svg>'


@pytest.fixture
async def sandbox() -> AsyncIterator[Sandbox[Rendition]]:
    box = Sandbox("services.transcoder.rendering:render", Rendition, slots=1, seconds=30)
    yield box
    await box.close()


def encoded(kind: str, mode: str, frames: int = 1) -> bytes:
    pixels = np.random.default_rng(3).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    if mode == "I;16":
        image = Image.fromarray(pixels[:, :, 0].astype(np.uint16) * 257)
    else:
        image = Image.fromarray(pixels).convert(mode)
    more = (
        {"save_all": True, "append_images": [image.rotate(90 * turn) for turn in range(1, frames)]}
        if frames > 1
        else {}
    )
    out = BytesIO()
    image.save(out, kind, **more)
    return out.getvalue()


async def test_every_kind_and_mode_is_rendered_inside_as_outside(sandbox: Sandbox[Rendition]) -> None:
    sources = {f"{kind} {mode}": encoded(kind, mode) for kind, modes in MODES.items() for mode in modes}
    sources |= {f"{kind} moving": encoded(kind, "RGB", frames=3) for kind in ("GIF", "PNG", "WEBP")}
    sources["SVG"] = SVG
    options = RenderOptions()
    for name, source in sources.items():
        inside, outside = await sandbox.run(source, options), render(source, options)
        assert (name, inside) == (name, msgspec.structs.replace(outside, decode_ms=inside.decode_ms))
