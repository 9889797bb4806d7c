"""Read a GIF's container: its canvas, its plays, and where each frame's pixels are; no pixel is decoded here.

Lenient where browsers are: a file that ends early, or turns into noise, gives the frames before that point.
Source: GIF89a specification (1990); the NETSCAPE2.0 loop extension; delays as browsers play them.
"""

from collections.abc import Iterator
from enum import IntEnum
from struct import unpack_from

import msgspec

from services.transcoder.rendition import Limits, Unrenderable

HEADER_BYTES = 13
EXTENSION, IMAGE = 0x21, 0x2C
GRAPHIC_CONTROL, APPLICATION = 0xF9, 0xFF
LOOP_EXTENSIONS = (b"NETSCAPE2.0", b"ANIMEXTS1.0")
MOST_EXTENSIONS = 200_000
"""Some for each of the most frames; a file of nothing else would only take time."""
SHORTEST_DELAY_MS = 10
DEFAULT_DELAY_MS = 100
MOST_PLAYS = 0xFFFF


class Disposal(IntEnum):
    """What becomes of a frame's rectangle once its time is over (GIF89a, section 23)."""

    KEEP = 1
    CLEAR = 2
    RESTORE = 3


DISPOSALS = {2: Disposal.CLEAR, 3: Disposal.RESTORE, 4: Disposal.RESTORE}
"""By the numbers in the file; some encoders write 4 for 3, as browsers know. All others keep."""


class GifFrame(msgspec.Struct, frozen=True):
    """One frame as the file stores it.

    Attributes:
        left: Pixels from the canvas's left edge; a frame may reach beyond the canvas.
        top: Pixels from the canvas's top edge.
        width: Pixels.
        height: Pixels.
        interlaced: Whether rows come in four passes.
        palette: RGB triples; empty where the file has none for this frame.
        transparent: The index that leaves the canvas as it is; None where all indices paint.
        disposal: What happens to the rectangle afterwards.
        duration_ms: Milliseconds on the screen, as browsers play it.
        start: Offset in the file of the LZW code size, with the sub-blocks behind it.
        end: Offset behind the last sub-block.
    """

    left: int
    top: int
    width: int
    height: int
    interlaced: bool
    palette: bytes
    transparent: int | None
    disposal: Disposal
    duration_ms: int
    start: int
    end: int


class Gif(msgspec.Struct, frozen=True):
    """A GIF's canvas in pixels, its plays in all (0: for ever), and its frames in order."""

    width: int
    height: int
    plays: int
    frames: tuple[GifFrame, ...]

    @property
    def duration_ms(self) -> int:
        """Milliseconds of one play."""
        return sum(frame.duration_ms for frame in self.frames)


class _Control(msgspec.Struct, frozen=True):
    """A graphic control extension: it speaks of the next frame alone."""

    disposal: Disposal = Disposal.KEEP
    duration_ms: int = DEFAULT_DELAY_MS
    transparent: int | None = None


def parse(data: bytes, limits: Limits = Limits()) -> Gif:  # noqa: B008 - frozen
    """Parse the container.

    Raises:
        Unrenderable: There is no frame in it, or it goes beyond a limit.
    """
    reader = _Reader(data, limits)
    frames = tuple(reader.frames())
    if not frames or not reader.width * reader.height:
        raise Unrenderable("the GIF holds no image")
    return Gif(reader.width, reader.height, reader.plays, frames)


class _Reader:
    """Walks over the blocks once, noting canvas and plays as it passes them."""

    def __init__(self, data: bytes, limits: Limits) -> None:
        if len(data) < HEADER_BYTES:
            raise Unrenderable("the GIF ends within its header")
        self._data = data
        self._limits = limits
        self._at = HEADER_BYTES
        self._pixels = 0
        self.width, self.height, flags = unpack_from("<HHB", data, 6)
        self.plays = 1
        self._palette = self._colours(flags)

    def frames(self) -> Iterator[GifFrame]:
        """Give the frames up to the trailer, the file's end, or the first byte that is no block."""
        control = _Control()
        count = extensions = 0
        while self._at < len(self._data):
            kind = self._data[self._at]
            self._at += 1
            if kind == EXTENSION:
                control = self._extension(control)
                extensions += 1
                if extensions > MOST_EXTENSIONS:
                    raise Unrenderable(f"it has more than {MOST_EXTENSIONS:,} extensions")
            elif kind == IMAGE and self._at + 9 < len(self._data):
                count += 1
                yield self._frame(control, count)
                control = _Control()
            else:
                return

    def _colours(self, flags: int) -> bytes:
        """Take the colour table that these flags announce."""
        if not flags & 0x80:
            return b""
        start = self._at
        self._at += 3 << ((flags & 7) + 1)
        return self._data[start : self._at]

    def _blocks(self) -> bytes:
        """Skip a chain of sub-blocks; give the first one's content."""
        data, start = self._data, self._at
        while self._at < len(data) and data[self._at]:
            self._at += data[self._at] + 1
        first = data[start + 1 : start + 1 + data[start]] if start < len(data) else b""
        self._at = min(self._at + 1, len(data))
        return first

    def _extension(self, control: _Control) -> _Control:
        """Read an extension: a graphic control replaces the one so far, a loop count is noted."""
        label = self._data[self._at] if self._at < len(self._data) else 0
        self._at += 1
        start = self._at
        first = self._blocks()
        if label == GRAPHIC_CONTROL and len(first) >= 4:  # noqa: PLR2004 - the extension's size
            return _control(first)
        if label == APPLICATION and first in LOOP_EXTENSIONS:
            self._loop(self._data[start + 12 : start + 16])
        return control

    def _loop(self, block: bytes) -> None:
        """Note the plays: the count in the file speaks of repetitions, 0 of endless ones."""
        if block[:2] == b"\x03\x01" and len(block) == 4:  # noqa: PLR2004 - size, id, count
            repetitions = int.from_bytes(block[2:4], "little")
            self.plays = min(repetitions + 1, MOST_PLAYS) if repetitions else 0

    def _frame(self, control: _Control, count: int) -> GifFrame:
        """Read an image descriptor and skip its pixels."""
        left, top, width, height, flags = unpack_from("<4HB", self._data, self._at)
        self._at += 9
        palette = self._colours(flags) or self._palette
        if count == 1:
            self._enlarge(left + width, top + height)
        self._check(width * height, count)
        start = self._at
        self._at += 1
        self._blocks()
        return GifFrame(
            left,
            top,
            width,
            height,
            bool(flags & 0x40),
            palette,
            control.transparent,
            control.disposal,
            control.duration_ms,
            start,
            min(self._at, len(self._data)),
        )

    def _enlarge(self, right: int, bottom: int) -> None:
        """Let the canvas hold the first frame, as browsers do; later frames are clipped."""
        self.width = max(self.width, right)
        self.height = max(self.height, bottom)
        if self.width * self.height > self._limits.frame_pixels:
            raise Unrenderable(f"the canvas has {self.width} x {self.height} pixels, too many to decode")

    def _check(self, pixels: int, count: int) -> None:
        """Refuse by the numbers in the file, before anything is allocated for them."""
        limits = self._limits
        self._pixels += pixels
        if pixels > limits.frame_pixels:
            raise Unrenderable(f"frame {count} has {pixels:,} pixels; {limits.frame_pixels:,} are allowed")
        if count > limits.frames:
            raise Unrenderable(f"it has more than {limits.frames:,} frames")
        if self._pixels > limits.total_pixels:
            raise Unrenderable(f"its frames have more than {limits.total_pixels:,} pixels in all")


def _control(block: bytes) -> _Control:
    """Read a graphic control extension's content."""
    flags, delay, transparent = unpack_from("<BHB", block)
    disposal = flags >> 2 & 7
    return _Control(
        DISPOSALS.get(disposal, Disposal.KEEP),
        shown_ms(delay * 10),
        transparent if flags & 1 else None,
    )


def shown_ms(delay_ms: int) -> int:
    """Give how long browsers show a frame that asks for this."""
    return delay_ms if delay_ms > SHORTEST_DELAY_MS else DEFAULT_DELAY_MS
