"""Read and composite a GIF in the plainest way there is, pixel by pixel from the specification.

It shares no line with the product, so that where both agree, both are right.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
"""(height, width, 4) RGBA; what is transparent is 0 in all channels."""


def play(data: bytes) -> list[tuple[Picture, int]]:
    """Give what a browser shows, and for how many milliseconds, frame by frame."""
    width, height = int.from_bytes(data[6:8], "little"), int.from_bytes(data[8:10], "little")
    at = 13
    common = b""
    if data[10] & 0x80:
        common = data[at : at + 3 * 2 ** ((data[10] & 7) + 1)]
        at += 3 * 2 ** ((data[10] & 7) + 1)
    shown: list[tuple[Picture, int]] = []
    canvas = np.zeros((height, width, 4), np.uint8)
    control = (0, 0, 0)
    while at < len(data):
        if data[at] == 0x21:
            label = data[at + 1] if at + 1 < len(data) else 0
            body, at = _chain(data, at + 2)
            if label == 0xF9 and len(body) >= 4:
                control = (body[0], body[1] + 256 * body[2], body[3])
        elif data[at] == 0x2C and at + 10 < len(data):
            left, top, wide, high = (int.from_bytes(data[at + i : at + i + 2], "little") for i in (1, 3, 5, 7))
            flags = data[at + 9]
            at += 10
            colours = common
            if flags & 0x80:
                colours = data[at : at + 3 * 2 ** ((flags & 7) + 1)]
                at += 3 * 2 ** ((flags & 7) + 1)
            bits = data[at] if at < len(data) else 0
            body, at = _chain(data, at + 1)
            if not shown:
                height, width = max(height, top + high), max(width, left + wide)
                canvas = np.zeros((height, width, 4), np.uint8)
            before = canvas.copy()
            pixels = list(_decode(body, bits, wide * high))
            _paint(canvas, (left, top, wide, high), pixels, colours, control, interlaced=bool(flags & 0x40))
            milliseconds = control[1] * 10
            shown.append((canvas.copy(), milliseconds if milliseconds > 10 else 100))
            disposal = control[0] >> 2 & 7
            if disposal in {3, 4}:  # browsers take 4 for 3
                canvas = before
            if disposal == 2:
                canvas[top : top + high, left : left + wide] = 0
            control = (0, 0, 0)
        else:
            break
    return shown


def _chain(data: bytes, at: int) -> tuple[bytes, int]:
    body = b""
    while at < len(data) and data[at]:
        body += data[at + 1 : at + 1 + data[at]]
        at += data[at] + 1
    return body, at + 1


def _decode(body: bytes, bits: int, wanted: int) -> Iterator[int]:
    """Decompress, code by code, until there are enough pixels or no further whole code."""
    clear = 1 << bits
    table = [bytes([i % 256]) for i in range(clear + 2)]
    size, at, before, given = bits + 1, 0, b"", 0
    stream = int.from_bytes(body, "little")
    while at + size <= 8 * len(body) and given < wanted:
        code = stream >> at & ((1 << size) - 1)
        at += size
        if code == clear:
            table, size, before = table[: clear + 2], bits + 1, b""
            continue
        if code == clear + 1 or code > len(table) or (code == len(table) and not before):
            return
        word = table[code] if code < len(table) else before + before[:1]
        if before and len(table) < 4096:
            table.append(before + word[:1])
            size += len(table) == 1 << size and size < 12
        before = word
        yield from word[: wanted - given]
        given += len(word)


def _paint(  # noqa: PLR0917 - plain on purpose
    canvas: Picture,
    box: tuple[int, int, int, int],
    pixels: list[int],
    colours: bytes,
    control: tuple[int, int, int],
    interlaced: bool,
) -> None:
    left, top, wide, high = box
    rows = list(range(high))
    if interlaced:
        rows = [*range(0, high, 8), *range(4, high, 8), *range(2, high, 4), *range(1, high, 2)]
    for count, index in enumerate(pixels):
        x, y = left + count % wide, top + rows[count // wide]
        if x < canvas.shape[1] and y < canvas.shape[0] and not (control[0] & 1 and index == control[2]):
            canvas[y, x] = [*(colours[3 * index : 3 * index + 3] or b"\0\0\0"), 255]
