"""Tell an image's format by its first bytes: they decide, not what a server says it is."""

import re
from enum import Enum

from services.transcoder.rendition import Unrenderable

SNIFFED_BYTES = 32


class Format(Enum):
    """A format that we open; the value is Pillow's name for its decoder, where it has one."""

    AVIF = "AVIF"
    BMP = "BMP"
    GIF = "GIF"
    ICO = "ICO"
    JPEG = "JPEG"
    PNG = "PNG"
    SVG = "SVG"
    TIFF = "TIFF"
    WEBP = "WEBP"


SHOWN_BY_BROWSERS = {
    Format.AVIF: "image/avif",
    Format.BMP: "image/bmp",
    Format.GIF: "image/gif",
    Format.ICO: "image/x-icon",
    Format.JPEG: "image/jpeg",
    Format.PNG: "image/png",
    Format.WEBP: "image/webp",
}
"""The media types of the formats that may stay as they are."""

_MAGIC = (
    (b"\x89PNG\r\n\x1a\n", Format.PNG),
    (b"\xff\xd8\xff", Format.JPEG),
    (b"GIF87a", Format.GIF),
    (b"GIF89a", Format.GIF),
    (b"II*\0", Format.TIFF),
    (b"MM\0*", Format.TIFF),
    (b"\0\0\1\0", Format.ICO),
    (b"BM", Format.BMP),
)
_SVG_PROLOGUE = 4096
_SVG = re.compile(rb"(?:\s+|<\?[^>]*\?>|<!--.*?-->|<!DOCTYPE\s[^>\[]*(?:\[[^\]]*\]\s*)?>)*+<svg[\s>]", re.DOTALL)
_AVIF_BRANDS = (b"avif", b"avis")

_OTHERS = (
    (b"<?xml", "it is an XML document, not an image"),
    (b"<!doctype", "it is a web page, not an image"),
    (b"<html", "it is a web page, not an image"),
    (b"%PDF", "it is a PDF, not an image"),
)


def sniff(data: bytes) -> Format:
    """Tell the format.

    Raises:
        Unrenderable: It is none of ours; the reason says what it looks like.
    """
    for magic, known in _MAGIC:
        if data.startswith(magic):
            return known
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return Format.WEBP
    if data[4:8] == b"ftyp" and any(brand in data[8:SNIFFED_BYTES] for brand in _AVIF_BRANDS):
        return Format.AVIF
    if _is_svg(data):
        return Format.SVG
    raise Unrenderable(_complaint(data))


def _is_svg(data: bytes) -> bool:
    """Tell an SVG by its root element, behind an XML declaration, comments and a document type."""
    return bool(_SVG.match(data[:_SVG_PROLOGUE].removeprefix(b"\xef\xbb\xbf")))


def _complaint(data: bytes) -> str:
    if not data:
        return "there are no bytes"
    start = data.lstrip()[:SNIFFED_BYTES].lower()
    for magic, complaint in _OTHERS:
        if start.startswith(magic.lower()):
            return complaint
    return f"its first bytes are those of no image format that is rendered: {data[:12].hex(' ')}"
