"""Decode one GIF frame's pixels to colours, through Pillow, which frees the interpreter for other threads.

A frame is handed to Pillow as a GIF of its own, without a palette, so that it gives back the indices.
"""

from contextlib import suppress
from io import BytesIO
from struct import pack

import numpy as np
from PIL import Image, ImageFile

from services.transcoder.canvas import Box, Indices, Paint, Pixels
from services.transcoder.gif import GifFrame
from services.transcoder.refusals import FAULTS

_FORMATS = ("GIF",)


def colours(data: bytes, frame: GifFrame) -> Pixels:
    """Decode a frame of the file to (height, width) pixels; those that it leaves as they were are 0."""
    table = _table(frame)
    indices = _indices(data, frame)
    return _damaged(data, frame, table) if indices is None else table.take(indices)


def paint(data: bytes, frame: GifFrame, width: int, stride: int, height: int) -> Paint:
    """Decode a frame of the file to what it paints on a canvas.

    Args:
        data: The file.
        frame: Of it.
        width: The canvas's.
        stride: Pixels from one row of the canvas to the next.
        height: The canvas's.
    """
    box = Box(frame.left, frame.top, frame.left + frame.width, frame.top + frame.height).clip(width, height)
    clear = frame.transparent
    if clear is not None and frame.width * 2 > stride and frame.left + frame.width <= width:
        indices = _indices(data, frame)
        if indices is not None:
            return _sparse(indices[: box.bottom - box.top], clear, _table(frame), box, stride)
    dense = colours(data, frame)[: box.bottom - box.top, : box.right - box.left]
    return Paint(box, dense, None)


def _sparse(indices: Indices, clear: int, table: Pixels, box: Box, stride: int) -> Paint:
    """Name the painted pixels one by one where they are few."""
    padded = np.full((len(indices), stride), clear, np.uint8)
    padded[:, box.left : box.right] = indices
    flat = padded.ravel()
    painted = flat != clear
    if np.count_nonzero(painted) * 2 > indices.size:
        return Paint(box, table.take(indices), None)
    where = np.flatnonzero(painted)
    return Paint(box, table.take(flat.take(where)), where + box.top * stride)


def _indices(data: bytes, frame: GifFrame) -> Indices | None:
    """Decode a sound frame; None where it is not."""
    alone = _head(frame, frame.transparent or 0) + data[frame.start : frame.end]
    with suppress(*FAULTS), Image.open(BytesIO(alone), formats=_FORMATS) as image:
        return np.asarray(image)
    return None


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


def _head(frame: GifFrame, fill: int) -> bytes:
    """Start a GIF of this frame alone; Pillow fills with the index that it is told is transparent."""
    size = pack("<HH", frame.width, frame.height)
    screen = b"GIF89a" + size + b"\0\0\0" + b"!\xf9\4\1\0\0" + bytes([fill]) + b"\0"
    return screen + b",\0\0\0\0" + size + (b"\x40" if frame.interlaced else b"\0")


def _damaged(data: bytes, frame: GifFrame, table: Pixels) -> Pixels:
    """Decode what there is of a frame that breaks off: pixels that depend on the fill were not in it."""
    coded = _whole_blocks(data[frame.start : frame.end])
    if frame.transparent is not None:
        return table.take(_partly(coded, frame, frame.transparent))
    first, second = _partly(coded, frame, 0), _partly(coded, frame, 1)
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


def _partly(coded: bytes, frame: GifFrame, fill: int) -> Indices:
    """Decode up to the break; what is behind it is the fill."""
    parser = ImageFile.Parser()
    image = None
    with suppress(*FAULTS):
        parser.feed(_head(frame, fill) + coded[:1])
        image = parser.image
        parser.feed(coded[1:])
    return np.full((frame.height, frame.width), fill, np.uint8) if image is None else np.asarray(image)
