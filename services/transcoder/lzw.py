"""Decode one GIF frame's pixels to colours, through Pillow, which frees the interpreter for other threads.

A frame is handed to Pillow as a GIF of its own, without a palette, so that it gives back the indices.
"""

from io import BytesIO
from struct import pack

import msgspec
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile

from services.transcoder.gif import GifFrame

Indices = NDArray[np.uint8]
Pixels = NDArray[np.uint32]
"""RGBA bytes seen as one number; a transparent pixel is 0, whatever its colour."""

_FORMATS = ("GIF",)


def colours(data: bytes, frame: GifFrame) -> Pixels:
    """Decode a frame of the file to (height, width) pixels; those that it leaves as they were are 0."""
    table = _table(frame)
    one = _one_frame(data, frame, frame.transparent or 0)
    try:
        with Image.open(BytesIO(one), formats=_FORMATS) as image:
            return table.take(np.asarray(image))
    except (OSError, SyntaxError, ValueError, IndexError):
        return _damaged(data, frame, table)


def _table(frame: GifFrame) -> Pixels:
    """Give the pixel of each index; what the palette does not name is black, as in browsers."""
    table = np.zeros((256, 4), np.uint8)
    table[:, 3] = 255
    named = np.frombuffer(frame.palette, np.uint8)[: len(frame.palette) // 3 * 3].reshape(-1, 3)
    table[: len(named), :3] = named
    pixels = table.view(np.uint32).ravel()
    if frame.transparent is not None:
        pixels[frame.transparent] = 0
    return pixels


def _one_frame(data: bytes, frame: GifFrame, fill: int) -> bytes:
    """Make a GIF of this frame alone; Pillow fills with the index that it is told is transparent."""
    size = pack("<HH", frame.width, frame.height)
    head = b"GIF89a" + size + b"\0\0\0" + b"!\xf9\4\1\0\0" + bytes([fill]) + b"\0"
    descriptor = b",\0\0\0\0" + size + (b"\x40" if frame.interlaced else b"\0")
    return head + descriptor + data[frame.start : frame.end] + b";"


def _damaged(data: bytes, frame: GifFrame, table: Pixels) -> Pixels:
    """Decode what there is of a frame that breaks off: pixels that depend on the fill were not in it."""
    data = data[: frame.start] + _whole_blocks(data[frame.start : frame.end])
    frame = msgspec.structs.replace(frame, end=len(data))
    fill = frame.transparent
    first = _partly(_one_frame(data, frame, 0 if fill is None else fill), frame)
    if fill is not None:
        return table.take(first)
    second = _partly(_one_frame(data, frame, 1), frame)
    return np.where(first == second, table.take(first), np.uint32(0))


def _whole_blocks(coded: bytes) -> bytes:
    """Let the last sub-block be as long as what is left of it: Pillow takes whole ones only."""
    at = 1
    while at < len(coded) and coded[at]:
        left = len(coded) - at - 1
        if coded[at] >= left:
            return coded[:at] + bytes([left]) + coded[at + 1 :] + b"\0"
        at += coded[at] + 1
    return coded[:at] + b"\0"


def _partly(one: bytes, frame: GifFrame) -> Indices:
    """Decode up to the break; nothing at all leaves the fill."""
    parser = ImageFile.Parser()
    head = one.index(b",") + 11
    fill = np.full((frame.height, frame.width), one[head - 14], np.uint8)
    try:
        parser.feed(one[:head])
        image = parser.image
        parser.feed(one[head:-1])
    except (OSError, SyntaxError, ValueError, IndexError):
        image = parser.image
    return fill if image is None else np.asarray(image)
