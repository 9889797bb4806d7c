"""Find what a viewer must be sent: the difference between a canvas and what was sent of it last.

Comparing with what was sent, not with the frame before, bounds the error: small differences never add up.
"""

from enum import Enum, auto

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.transcoder.composite import TILE, Box
from services.transcoder.lzw import Pixels

INVISIBLE = 5
"""Differences up to this, per channel of 255, are not sent unless every pixel must be exact."""
MOSTLY_DIRTY = 0.7
"""From this share of dirty tiles on, a rectangle is sent whole."""
OPAQUE = np.uint32(np.array([0, 0, 0, 255], np.uint8).view(np.uint32)[0])

Positions = NDArray[np.intp]


class Cover(Enum):
    """Which pixels of a region cover the canvas."""

    ALL = auto()
    TILES = auto()
    ALPHA = auto()


class Region(msgspec.Struct, frozen=True):
    """A rectangle of the canvas to send.

    Attributes:
        box: Where, in pixels; left and top are even.
        pixels: (height, width) RGBA pixels, a copy.
        cover: ALL of them are opaque, or TILES says which tiles are (and all pixels of those), or their ALPHA does.
        tiles: (rows, columns) of dirty tiles from the box's corner on; None unless cover is TILES.
        replaces: Whether it replaces the canvas rather than being blended over it.
    """

    box: Box
    pixels: Pixels
    cover: Cover
    tiles: NDArray[np.bool_] | None
    replaces: bool


class Delta:
    """Compares one canvas, as it changes, with what was sent of it."""

    def __init__(self, canvas: Pixels, width: int, height: int, tolerance: int) -> None:
        self._canvas = canvas
        self._sent = np.zeros_like(canvas)
        self._differs = np.zeros(canvas.shape, np.bool_)
        self._size = (width, height)
        self._tolerance = tolerance
        self._opaque = False

    def take(self, touched: Box) -> Region | None:
        """Give what to send after a change within this rectangle; None where nothing is visible of it.

        What is given counts as sent.
        """
        far = self._far(touched)
        if not far.size:
            return None
        clear = bool((self._canvas.ravel()[far] & OPAQUE != OPAQUE).any())
        self._opaque = self._opaque and not clear
        rows, columns = np.divmod(far, self._canvas.shape[1])
        tiles = Box(
            int(columns.min()) // TILE,
            int(rows[0]) // TILE,
            int(columns.max()) // TILE + 1,
            int(rows[-1]) // TILE + 1,
        )
        dirty = np.zeros((tiles.bottom - tiles.top, tiles.right - tiles.left), np.bool_)
        dirty[rows // TILE - tiles.top, columns // TILE - tiles.left] = True
        if clear or dirty.mean() >= MOSTLY_DIRTY:
            box = _even(Box(int(columns.min()), int(rows[0]), int(columns.max()) + 1, int(rows[-1]) + 1))
            return self._whole(box.clip(*self._size), clear)
        return self._tiles(tiles, dirty)

    def _far(self, touched: Box) -> Positions:
        """Give the flat positions in the canvas that differ visibly from what was sent, in order."""
        canvas, sent, differs = self._canvas, self._sent, self._differs
        part = touched.slices
        np.not_equal(canvas[part], sent[part], out=differs[part])
        rows = slice(touched.top, touched.bottom)
        found = np.flatnonzero(differs[rows]) + touched.top * canvas.shape[1]
        differs[part] = False
        if not self._tolerance or not found.size:
            return found
        new, old = canvas.ravel()[found].view(np.uint8), sent.ravel()[found].view(np.uint8)
        apart = np.maximum(new, old) - np.minimum(new, old) > self._tolerance
        return found[apart.view(np.uint32) != 0]

    def _whole(self, box: Box, replaces: bool) -> Region:
        """Send a rectangle as it is."""
        pixels = self._canvas[box.slices].copy()
        self._sent[box.slices] = pixels
        if self._opaque or _all_opaque(pixels):
            self._opaque = self._opaque or (box.right - box.left, box.bottom - box.top) == self._size
            return Region(box, pixels, Cover.ALL, None, replaces=False)
        if not replaces:
            _skip_translucent(pixels)
        return Region(box, pixels, Cover.ALPHA, None, replaces)

    def _tiles(self, tiles: Box, dirty: NDArray[np.bool_]) -> Region:
        """Send the dirty tiles of a rectangle; the others let the canvas through and are flat."""
        high, wide = dirty.shape
        rows, columns = np.nonzero(dirty)
        where = (rows + tiles.top, slice(None), columns + tiles.left, slice(None))
        content = _by_tile(self._canvas)[where]
        _by_tile(self._sent)[where] = content
        opaque = self._opaque or _all_opaque(content)
        if not opaque:
            _skip_translucent(content)
        flat = content.ravel()[content.size // 2] if opaque else 0
        pixels = np.full((high * TILE, wide * TILE), flat, np.uint32)
        _by_tile(pixels)[rows, :, columns, :] = content
        box = Box(*(side * TILE for side in tiles)).clip(*self._size)
        pixels = pixels[: box.bottom - box.top, : box.right - box.left]
        if opaque:
            return Region(box, pixels, Cover.TILES, dirty, replaces=False)
        return Region(box, pixels, Cover.ALPHA, None, replaces=False)


def _by_tile(canvas: Pixels) -> Pixels:
    """See a canvas as (tile row, row in it, tile column, column in it)."""
    high, wide = canvas.shape
    return canvas.reshape(high // TILE, TILE, wide // TILE, TILE)


def _all_opaque(pixels: Pixels) -> bool:
    return bool((pixels & OPAQUE == OPAQUE).all())


def _skip_translucent(pixels: Pixels) -> None:
    """Let the canvas through where nothing opaque is sent: blended twice, it would not be the same."""
    pixels[pixels & OPAQUE != OPAQUE] = 0


def _even(box: Box) -> Box:
    """Move the corner to even coordinates, as ANMF counts in twos."""
    return Box(box.left & ~1, box.top & ~1, box.right, box.bottom)
