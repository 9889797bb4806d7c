"""Strip a file that is kept as it is of what tells about its author: places, devices, comments, edits.

Pixels, colour profile, orientation and animation stay. Sources: JPEG (ITU T.81, B.1.1.3), PNG (W3C, 11.3), WebP
(RFC 9649, 2.7), GIF89a (24, 26).
"""

from collections.abc import Iterator
from struct import pack, unpack_from

from PIL import Image

from services.transcoder import webp
from services.transcoder.sniff import Format

PNG_TEXTS = {b"tEXt", b"zTXt", b"iTXt"}
PNG_METADATA = PNG_TEXTS | {b"eXIf", b"tIME"}
WEBP_METADATA = {b"EXIF", b"XMP "}
WEBP_METADATA_FLAGS = 0x08 | 0x04
JPEG_SCAN, JPEG_EXIF, JPEG_COMMENT = 0xDA, 0xE1, 0xFE
JPEG_KEPT_APPS = {0xE0, 0xE2, 0xEE}
"""JFIF, the colour profile, and Adobe's note of how colours are coded."""
ORIENTATION = 0x0112


def without_metadata(data: bytes, known: Format) -> bytes:
    """Give the file without its metadata; a format that carries next to none is given back."""
    match known:
        case Format.JPEG:
            return b"".join(_jpeg(data))
        case Format.PNG:
            return png_without(data, PNG_METADATA)
        case Format.WEBP:
            return _webp(data)
        case _:
            return data


def _jpeg(data: bytes) -> Iterator[bytes]:
    """Give the segments before the scan, less the metadata, and all behind."""
    yield data[:2]
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != JPEG_SCAN:  # noqa: PLR2004 - a marker's first byte
        marker, size = unpack_from(">xBH", data, at)
        segment = data[at : at + 2 + size]
        at += 2 + size
        if marker == JPEG_EXIF:
            yield _orientation_alone(segment)
        elif marker != JPEG_COMMENT and (not 0xE0 <= marker <= 0xEF or marker in JPEG_KEPT_APPS):  # noqa: PLR2004 - APP0-15
            yield segment
    yield data[at:]


def _orientation_alone(segment: bytes) -> bytes:
    """Give an Exif segment that says which side is up and no more; nothing where that is the top."""
    if segment[4:10] != b"Exif\0\0":
        return b""
    exif = Image.Exif()
    try:
        exif.load(segment[4:])
        side = int(exif.get(ORIENTATION, 1))
    except (SyntaxError, ValueError, TypeError, LookupError, OSError):
        return b""
    if side == 1:
        return b""
    alone = Image.Exif()
    alone[ORIENTATION] = side
    body = alone.tobytes()
    return pack(">BBH", 0xFF, JPEG_EXIF, len(body) + 2) + body


def png_without(data: bytes, names: set[bytes]) -> bytes:
    """Give a PNG without the chunks of these names."""
    return data[:8] + b"".join(_png_chunks(data, names))


def _png_chunks(data: bytes, without: set[bytes]) -> Iterator[bytes]:
    at = 8
    while at + 12 <= len(data):
        size, name = unpack_from(">I4s", data, at)
        if name not in without:
            yield data[at : at + 12 + size]
        at += 12 + size


def _webp(data: bytes) -> bytes:
    kept = [(name, content) for name, content in webp.chunks(data) if name not in WEBP_METADATA]
    body = b"".join(
        webp.chunk(name, bytes([content[0] & ~WEBP_METADATA_FLAGS]) + content[1:] if name == b"VP8X" else content)
        for name, content in kept
    )
    return pack("<4sI4s", b"RIFF", 4 + len(body), b"WEBP") + body
