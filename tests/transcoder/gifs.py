"""Write GIFs bit by bit, decent ones and nasty ones: nothing here knows how the product reads them."""

import random
from struct import pack

import msgspec


class Frame(msgspec.Struct, frozen=True):
    """One frame: indices row by row, and all that its descriptor and its control extension may say."""

    width: int
    height: int
    indices: bytes
    left: int = 0
    top: int = 0
    palette: bytes = b""
    disposal: int = 0
    delay: int = 5
    transparent: int | None = None
    interlaced: bool = False
    bits: int = 8
    controlled: bool = True
    clears_often: bool = False
    extension: bytes = b""


def gif(  # noqa: PLR0917 - the file's parts, in its order
    width: int,
    height: int,
    frames: list[Frame],
    palette: bytes = b"",
    loop: int | None = None,
    version: bytes = b"GIF89a",
    trailer: bytes = b";",
) -> bytes:
    """Write a file; `loop` is the number in the NETSCAPE block."""
    out = version + pack("<HHBBB", width, height, _table_flags(palette), 0, 0) + palette
    if loop is not None:
        out += b"!\xff\x0bNETSCAPE2.0\x03\x01" + pack("<H", loop) + b"\0"
    return out + b"".join(_frame(frame) for frame in frames) + trailer


def _frame(frame: Frame) -> bytes:
    out = frame.extension
    if frame.controlled:
        flags = frame.disposal << 2 | (frame.transparent is not None)
        out += b"!\xf9\x04" + pack("<BHB", flags, frame.delay, frame.transparent or 0) + b"\0"
    flags = _table_flags(frame.palette) | (0x40 if frame.interlaced else 0)
    out += b"," + pack("<4HB", frame.left, frame.top, frame.width, frame.height, flags) + frame.palette
    return out + bytes([frame.bits]) + blocks(lzw(_in_order(frame), frame.bits, frame.clears_often))


def _table_flags(palette: bytes) -> int:
    return 0x80 | (len(palette) // 3).bit_length() - 2 if palette else 0


def _in_order(frame: Frame) -> bytes:
    rows = [frame.indices[row * frame.width : (row + 1) * frame.width] for row in range(frame.height)]
    if frame.interlaced:
        rows = rows[::8] + rows[4::8] + rows[2::4] + rows[1::2]
    return b"".join(rows)


def blocks(data: bytes) -> bytes:
    """Cut into sub-blocks."""
    cut = [data[at : at + 255] for at in range(0, len(data), 255)]
    return b"".join(bytes([len(block)]) + block for block in cut) + b"\0"


def lzw(indices: bytes, bits: int, clears_often: bool = False) -> bytes:
    """Compress (GIF89a, appendix F); a full table is kept as long as it lasts, unless it clears often."""
    clear, end = 1 << bits, (1 << bits) + 1
    codes: list[tuple[int, int]] = [(clear, bits + 1)]
    table = {bytes([value]): value for value in range(clear)}
    following, size, word = end + 1, bits + 1, b""
    for count, index in enumerate(indices):
        longer = word + bytes([index])
        if longer in table:
            word = longer
            continue
        codes.append((table[word], size))
        if following < 4096:
            table[longer] = following
            following += 1
            size += following > 1 << size and size < 12
        word = bytes([index])
        if clears_often and count % 50 == 49:
            codes.append((table[word], size))
            size += following < 4096 and following + 1 > 1 << size and size < 12
            codes.append((clear, size))
            table = {bytes([value]): value for value in range(clear)}
            following, size, word = end + 1, bits + 1, b""
    codes += [(table[word], size)] if word else []
    codes.append((end, size))
    return _packed(codes)


def _packed(codes: list[tuple[int, int]]) -> bytes:
    value = at = 0
    for code, size in codes:
        value |= code << at
        at += size
    return value.to_bytes(-(-at // 8), "little")


def palette(dice: random.Random, colours: int) -> bytes:
    """Choose colours."""
    return dice.randbytes(3 * colours)


def nasty(seed: int) -> bytes:
    """Write a GIF with everything that goes wrong in the wild, by chance."""
    dice = random.Random(seed)  # noqa: S311 - no secret
    width, height = dice.randint(1, 67), dice.randint(1, 53)
    bits = dice.choice([2, 4, 8])
    common = palette(dice, 1 << bits) if dice.random() < 0.8 else b""
    frames = [_nasty_frame(dice, width, height, bits, bool(common)) for _ in range(dice.randint(1, 9))]
    loop = dice.choice([None, 0, 1, 7, 65535])
    version = dice.choice([b"GIF87a", b"GIF89a"])
    data = gif(width, height, frames, common, loop, version, dice.choice([b";", b"", b"\0\0", b";garbage"]))
    if seed % 4 == 3:
        data = data[: -dice.randint(1, len(_frame(frames[-1])) // 3)]
    return data


def _nasty_frame(dice: random.Random, width: int, height: int, bits: int, common: bool) -> Frame:
    left, top = dice.choice([0, 0, dice.randint(0, width)]), dice.choice([0, 0, dice.randint(0, height)])
    wide, high = dice.randint(1, width), dice.randint(1, height)
    if dice.random() < 0.4:
        left, top, wide, high = 0, 0, width, height
    local = palette(dice, 1 << dice.randint(1, bits)) if not common or dice.random() < 0.4 else b""
    return Frame(
        wide,
        high,
        _content(dice, wide * high, 1 << bits),
        left,
        top,
        local,
        dice.randint(0, 7),
        dice.choice([0, 1, 2, 5, 100]),
        dice.choice([None, dice.randrange(1 << bits)]),
        dice.random() < 0.3,
        bits,
        dice.random() < 0.9,
        dice.random() < 0.3,
        dice.choice([b"", b"", b"!\xfe\x05hello\0", b"!\x01\x02xy\0"]),
    )


def _content(dice: random.Random, size: int, colours: int) -> bytes:
    """Fill with noise, or with runs."""
    if dice.random() < 0.3:
        return bytes(dice.randrange(colours) for _ in range(size))
    out = b""
    while len(out) < size:
        out += bytes([dice.randrange(colours)]) * dice.randint(1, 40)
    return out[:size]
