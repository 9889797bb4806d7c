"""Write the alpha plane of a tiled region by hand: libwebp would look at each pixel of it, here it is known by tile.

The plane is a VP8L image of two colours, eight pixels bundled to a byte, under one fixed set of prefix codes: the
first line of a row of tiles in runs, its other lines copied from the line above.
Source: RFC 9649, section 2.7.1.2 (ALPH) and section 3 (lossless bitstream).
"""

from collections.abc import Iterator
from functools import cache
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from services.transcoder.canvas import TILE
from services.transcoder.webp import chunk

BUNDLED = 8
"""Pixels in a byte of a two-colour image."""
BYTES_A_TILE = TILE // BUNDLED
LONGEST_COPY = 4096
LOSSLESS_ALPHA = b"\x01"
LITERALS, LENGTHS = 256, 24
ZEROS, MOST_ZEROS, LEAST_ZEROS = 18, 138, 11
"""The code for a run of codes that are not used, and how long one may be."""
DISTANCE_ABOVE, DISTANCE_LEFT = "0", "1"
"""The two distance codes in use, 1 (the line above) and 2 (the pixel to the left), a bit each."""


def tile_mask(tiles: NDArray[np.bool_], width: int, height: int) -> bytes:
    """Give the ALPH chunk that is 255 in the tiles that are set and 0 in the others.

    Args:
        tiles: (rows, columns) of 16 x 16 pixels.
        width: Of the plane in pixels, at most that of the tiles.
        height: Likewise.
    """
    bits = _HEAD + "".join(_bands(tiles, -(-width // BUNDLED), height))
    return chunk(b"ALPH", LOSSLESS_ALPHA + _bytes(bits))


def _bands(tiles: NDArray[np.bool_], line: int, height: int) -> Iterator[str]:
    """Give each row of tiles as its first line, of `line` bytes, and copies of it."""
    top, above = 0, b""
    for row, same in groupby(row.tobytes() for row in tiles):
        bottom = min(top + TILE * len(list(same)), height)
        yield from _first_line(row, above, line)
        yield _copy((bottom - top - 1) * line, DISTANCE_ABOVE)
        top, above = bottom, row


def _first_line(row: bytes, above: bytes, line: int) -> Iterator[str]:
    """Give one line of pixels, each time as the longer of a run and of what is as above."""
    at, end = 0, len(row)
    while at < end:
        run = _same(row, row[at : at + 1] * end, at)
        match = _same(row, above, at) if above else 0
        length = min(max(run, match) * BYTES_A_TILE, line - at * BYTES_A_TILE)
        yield _copy(length, DISTANCE_ABOVE) if match > run else _run(row[at], length)
        at += max(run, match)


def _same(row: bytes, other: bytes, at: int) -> int:
    """Count the tiles from here on that are as in another row."""
    length = 0
    for one, two in zip(row[at:], other[at:], strict=False):
        if one != two:
            break
        length += 1
    return length


@cache
def _run(dirty: int, length: int) -> str:
    literal = _CODES[0xFF if dirty else 0]
    return min(literal * length, literal + _copy(length - 1, DISTANCE_LEFT), key=len)


@cache
def _copy(length: int, distance: str) -> str:
    """Repeat so many bytes from a distance (RFC 9649, 5.2.2: the prefix code of a length)."""
    if length > LONGEST_COPY:
        return _copy(LONGEST_COPY, distance) + _copy(length - LONGEST_COPY, distance)
    if not length:
        return ""
    extra = max(0, (length - 1).bit_length() - 2)
    prefix = (length - 1 >> extra) + 2 * extra
    return _CODES[LITERALS + prefix] + _number((length - 1) & ((1 << extra) - 1), extra) + distance


def _number(value: int, bits: int) -> str:
    """Give a number's bits in the order of the file, the lowest first."""
    return format(value, f"0{bits}b")[::-1] if bits else ""


def _bytes(bits: str) -> bytes:
    return int(bits[::-1], 2).to_bytes(-(-len(bits) // 8), "little")


def _lengths() -> list[int]:
    """Give the lengths of the codes of bytes and copies: two literals, 8 short copies, 16 others; a full tree."""
    lengths = [0] * (LITERALS + LENGTHS)
    lengths[0] = lengths[0xFF] = 2
    lengths[LITERALS : LITERALS + 8] = [5] * 8
    lengths[LITERALS + 8 :] = [6] * 16
    return lengths


def _canonical(lengths: list[int]) -> dict[int, str]:
    """Give each symbol its canonical code, shorter ones first (RFC 1951, 3.2.2)."""
    codes: dict[int, str] = {}
    code = before = 0
    for length, symbol in sorted((length, symbol) for symbol, length in enumerate(lengths) if length):
        code <<= length - before
        codes[symbol] = format(code, f"0{length}b")
        code, before = code + 1, length
    return codes


def _written(lengths: list[int]) -> str:
    """Write a prefix code by its lengths (RFC 9649, 6.2.1), two bits for each of them and for a run of zeros."""
    order = (17, ZEROS, 0, 1, 2, 3, 4, 5, 16, 6)
    codes = _canonical([2 if length in {2, 5, 6, ZEROS} else 0 for length in range(ZEROS + 1)])
    head = "0" + _number(len(order) - 4, 4) + "".join(_number(2 if length in codes else 0, 3) for length in order)
    runs = ((length, len(list(same))) for length, same in groupby(lengths))
    return (
        head + "0" + "".join(codes[length] * count if length else _zeros(codes[ZEROS], count) for length, count in runs)
    )


def _zeros(code: str, count: int) -> str:
    """Write so many lengths of zero."""
    return (
        _zeros(code, count // 2) + _zeros(code, count - count // 2)
        if count > MOST_ZEROS
        else code + _number(count - LEAST_ZEROS, 7)
    )


def _one(symbol: int) -> str:
    """Write a simple prefix code of one symbol, which then takes no bits."""
    return "1" + "0" + "1" + _number(symbol, 8)


_CODES = _canonical(_lengths())
_NOTHING = _one(0)
_OPAQUE_DELTA = "1" + "1" + "1" + _number(0, 8) + _number(0xFF, 8)
"""A simple prefix code of the symbols 0 and 255, a bit each."""
_PALETTE = "1" + "11" + _number(1, 8) + "0" + _OPAQUE_DELTA + _NOTHING * 4 + "01"
"""The colour indexing transform: two colours, 0 and 255 in green, where an alpha plane's values are."""
_DISTANCES = "1" + "1" + "0" + "0" + _number(1, 8)
_HEAD = _PALETTE + "0" + "0" + "0" + _written(_lengths()) + _NOTHING * 3 + _DISTANCES
"""The transform and no further one, no colour cache, no meta codes, and the five prefix codes."""
