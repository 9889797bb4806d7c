"""Write animated WebP files, and take the bitstream out of still ones: the RIFF container alone.

Source: RFC 9649, section 2 (container), and its ANIM and ANMF chunks.
"""

from collections.abc import Iterator
from struct import pack, unpack_from

import msgspec

MOST_PIXELS_A_SIDE = 16_383
MOST_MS_A_FRAME = 0xFF_FFFF
MOST_PLAYS = 0xFFFF

ANIMATION_FLAG, ALPHA_FLAG = 0x02, 0x10
REPLACE_FLAG = 0x02


class Patch(msgspec.Struct, frozen=True):
    """One frame of the file: a bitstream, where it goes on the canvas, and for how long.

    Attributes:
        left: Pixels, even.
        top: Pixels, even.
        width: Pixels.
        height: Pixels.
        duration_ms: Milliseconds, of 24 bits.
        replaces: Whether it replaces the canvas there; otherwise it is blended over it.
        chunks: The frame's data: `VP8L`, or `VP8 ` with perhaps `ALPH` before it.
    """

    left: int
    top: int
    width: int
    height: int
    duration_ms: int
    replaces: bool
    chunks: bytes

    def __bytes__(self) -> bytes:
        flags = REPLACE_FLAG if self.replaces else 0
        head = (
            _u24(self.left // 2)
            + _u24(self.top // 2)
            + _u24(self.width - 1)
            + _u24(self.height - 1)
            + _u24(self.duration_ms)
            + bytes([flags])
        )
        return chunk(b"ANMF", head + self.chunks)


def animation(width: int, height: int, plays: int, alpha: bool, frames: list[bytes]) -> bytes:
    """Assemble a file.

    Args:
        width: The canvas's, in pixels, at most 16,383.
        height: The canvas's, in pixels, at most 16,383.
        plays: How often it plays; 0 for ever.
        alpha: Whether any pixel of the canvas may ever be transparent.
        frames: ANMF chunks (`bytes(patch)`) in order.
    """
    flags = ANIMATION_FLAG | (ALPHA_FLAG if alpha else 0)
    head = chunk(b"VP8X", bytes([flags, 0, 0, 0]) + _u24(width - 1) + _u24(height - 1))
    anim = chunk(b"ANIM", pack("<IH", 0, min(plays, MOST_PLAYS)))
    size = 4 + len(head) + len(anim) + sum(map(len, frames))
    return b"".join((pack("<4sI4s", b"RIFF", size, b"WEBP"), head, anim, *frames))


def chunk(name: bytes, content: bytes) -> bytes:
    """Give a RIFF chunk, padded to an even size."""
    return pack("<4sI", name, len(content)) + content + b"\0" * (len(content) % 2)


def chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Give a WebP file's chunks (name, content) in order, as far as they are whole."""
    at = 12
    while at + 8 <= len(data):
        name, size = unpack_from("<4sI", data, at)
        content = data[at + 8 : at + 8 + size]
        if len(content) < size:
            return
        yield name, content
        at += 8 + size + size % 2


def bitstream(data: bytes) -> bytes:
    """Give the chunks of a still WebP file that an ANMF chunk takes: its alpha and its image."""
    wanted = (b"ALPH", b"VP8 ", b"VP8L")
    return b"".join(chunk(name, content) for name, content in chunks(data) if name in wanted)


def _u24(value: int) -> bytes:
    return value.to_bytes(3, "little")


def canvas(data: bytes) -> tuple[int, int]:
    """Give a WebP file's width and height as its first chunk states them; (0, 0) where that is none of WebP's."""
    name, body = data[12:16], data[20:30]
    if name == b"VP8X" and len(body) >= 10:  # noqa: PLR2004 - flags and two times 24 bits
        return int.from_bytes(body[4:7], "little") + 1, int.from_bytes(body[7:10], "little") + 1
    if name == b"VP8 " and len(body) >= 10:  # noqa: PLR2004 - frame tag, start code, two times 16 bits
        width, height = unpack_from("<2H", body, 6)
        return width & 0x3FFF, height & 0x3FFF
    if name == b"VP8L" and len(body) >= 5:  # noqa: PLR2004 - signature and two times 14 bits
        bits = int.from_bytes(body[1:5], "little")
        return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
    return 0, 0
