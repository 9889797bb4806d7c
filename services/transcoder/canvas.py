"""The canvas of an animation, and the words for parts of it.

A canvas is padded to whole 16 x 16 tiles, so that it can be looked at tile by tile; the padding stays 0.
"""

from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

Indices = NDArray[np.uint8]
Positions = NDArray[np.intp]
"""Offsets of pixels in a flattened canvas, in order."""
Pixels = NDArray[np.uint32]
"""RGBA bytes seen as one number; a transparent pixel is 0, whatever its colour."""

TILE = 16
OPAQUE = np.uint32(np.array([0, 0, 0, 255], np.uint8).view(np.uint32)[0])
"""The alpha of a pixel that hides what is below it."""


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


class Paint(msgspec.Struct, frozen=True):
    """What one frame paints.

    Attributes:
        box: The frame's rectangle, within the canvas.
        pixels: Of the whole box, 0 where it paints nothing; or, with positions, those of each.
        positions: Of the painted pixels; None where all of the box is given.
    """

    box: Box
    pixels: Pixels
    positions: Positions | None


class Touched(msgspec.Struct, frozen=True):
    """What may have changed on a canvas.

    Attributes:
        box: All of it lies in this rectangle.
        positions: The only pixels that changed; None where that is not known.
        pixels: What they are now, one for each position; None where those are not known.
        clears: Whether any pixel may have become less opaque.
    """

    box: Box
    positions: Positions | None
    pixels: Pixels | None
    clears: bool
