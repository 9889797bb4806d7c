"""Put GIF frames together on a canvas as browsers do: paint, then keep, clear or restore.

Source: GIF89a, section 23, and browsers' reading of it: a cleared rectangle is transparent, not the background
colour. A canvas is padded to whole 16 x 16 tiles, so that it can be looked at tile by tile; the padding stays 0.
"""

from typing import NamedTuple

import numpy as np

from services.transcoder.gif import Disposal, GifFrame
from services.transcoder.lzw import Pixels

TILE = 16


class Box(NamedTuple):
    """A rectangle of a canvas in pixels; right and bottom lie outside of it."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def slices(self) -> tuple[slice, slice]:
        """The rectangle of an array."""
        return slice(self.top, self.bottom), slice(self.left, self.right)

    def clip(self, width: int, height: int) -> "Box":
        """Give the part within a canvas; where there is none, its sides are not positive or it is empty."""
        return Box(min(self.left, width), min(self.top, height), min(self.right, width), min(self.bottom, height))

    def union(self, other: "Box") -> "Box":
        """Give the smallest rectangle around both."""
        return Box(
            min(self.left, other.left),
            min(self.top, other.top),
            max(self.right, other.right),
            max(self.bottom, other.bottom),
        )


def blank(width: int, height: int) -> Pixels:
    """Give a transparent canvas, padded to whole tiles."""
    return np.zeros((-(-height // TILE) * TILE, -(-width // TILE) * TILE), np.uint32)


class Screen:
    """What a browser shows of a GIF, frame after frame."""

    def __init__(self, width: int, height: int) -> None:
        self._size = (width, height)
        self.pixels = blank(width, height)
        self._due: tuple[Box, Pixels | int] | None = None

    def draw(self, frame: GifFrame, colours: Pixels) -> Box:
        """Dispose of the frame before, then paint this one; give the rectangle that may have changed."""
        cleared = self._dispose()
        box = Box(frame.left, frame.top, frame.left + frame.width, frame.top + frame.height).clip(*self._size)
        view = self.pixels[box.slices]
        self._due = _afterwards(frame.disposal, box, view)
        new = colours[: view.shape[0], : view.shape[1]]
        np.copyto(view, new, where=new != 0)
        return box.union(cleared) if cleared else box

    def _dispose(self) -> Box | None:
        if self._due is None:
            return None
        box, content = self._due
        self.pixels[box.slices] = content
        return box


def _afterwards(disposal: Disposal, box: Box, before: Pixels) -> tuple[Box, Pixels | int] | None:
    """Give what to put where once a frame's time is over."""
    match disposal:
        case Disposal.KEEP:
            return None
        case Disposal.CLEAR:
            return box, 0
        case Disposal.RESTORE:
            return box, before.copy()
