"""Draw an SVG: as many pixels as the drawing says it is large (SVG 2, section 8.2), no script, no file, no network."""

import re
from io import BytesIO

import resvg_py
from PIL import Image

from services.transcoder.rendition import Limits, Unrenderable
from shared.tags import walk

_LENGTH = re.compile(r"\s*([\d.]+)(px|pt|pc|mm|cm|in|em|rem)?\s*", re.IGNORECASE)
_PIXELS = {"px": 1.0, "pt": 4 / 3, "pc": 16.0, "mm": 96 / 25.4, "cm": 96 / 2.54, "in": 96.0, "em": 16.0, "rem": 16.0}
_DEFAULT_SIDE = 100.0  # of a drawing that says nothing: what resvg takes


def draw(data: bytes, limits: Limits) -> Image.Image:
    """Return the drawing's pixels, without its text: fonts are files, and no file is opened.

    Raises:
        Unrenderable: It is no SVG that can be drawn, or it has too many pixels.
    """
    text = data.decode("utf-8", errors="replace").removeprefix("\ufeff")
    width, height = size(text)
    if width * height > limits.frame_pixels:
        raise Unrenderable(f"it has {width:.0f} x {height:.0f} pixels; {limits.frame_pixels:,} are allowed")
    try:
        png = resvg_py.svg_to_bytes(svg_string=text, skip_system_fonts=True)
    except (ValueError, RuntimeError) as error:
        raise Unrenderable(f"the SVG cannot be drawn: {str(error).splitlines()[0][:200]}") from error
    return Image.open(BytesIO(png), formats=("PNG",))


def has_text(data: bytes) -> bool:
    """Tell whether an SVG holds text, which `draw` leaves out."""
    return any(tag.name == "text" and not tag.closing for tag in walk(data.decode("utf-8", errors="replace")))


def size(text: str) -> tuple[float, float]:
    """Return the drawing's width and height in pixels.

    Raises:
        Unrenderable: There is no `<svg>` in it.
    """
    root = next((tag for tag in walk(text) if tag.name == "svg"), None)
    if root is None:
        raise Unrenderable("it is no SVG")
    said = {name: attribute.value for name, attribute in root.attributes().items()}
    box = [float(number) for number in re.findall(r"-?[\d.]+", said.get("viewbox", ""))[2:4]]
    box_width, box_height = box if len(box) == 2 else (_DEFAULT_SIDE, _DEFAULT_SIDE)  # noqa: PLR2004
    width, height = _pixels(said.get("width")), _pixels(said.get("height"))
    if width and not height:
        height = width * box_height / (box_width or 1)
    elif height and not width:
        width = height * box_width / (box_height or 1)
    return width or box_width, height or box_height


def _pixels(length: str | None) -> float:
    match = _LENGTH.fullmatch(length or "")
    return float(match.group(1)) * _PIXELS[(match.group(2) or "px").lower()] if match else 0.0
