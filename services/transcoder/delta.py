"""Find what a viewer must be sent: the difference between a canvas and what was sent of it last.

Comparing with what was sent, not with the frame before, bounds the error: small differences never add up.
"""

from enum import Enum, auto
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.transcoder.canvas import OPAQUE, TILE, Box, Pixels, Positions, Touched

INVISIBLE = 5
"""Differences up to this, per channel of 255, are not sent unless every pixel must be exact."""
FAINT = 2 * 3 * TILE * TILE
"""Nor is a tile whose other differences, squared and summed, are below this: a mean square error of 2, a tenth of
what lossy WebP itself does at quality 75. Dithered and once-compressed GIFs flicker so all over."""
STRONG = 24 * 24
"""But a pixel whose squared differences sum up to more than this is always sent."""
MOSTLY_DIRTY = 0.7
"""From this share of dirty tiles on, a rectangle is sent whole."""
GREY = np.uint32(np.array([128, 128, 128, 0], np.uint8).view(np.uint32)[0])
"""What unsent tiles are filled with: far enough from most pictures that VP8's loop filter does not smooth the seam."""
_SUM_OF_LANES = np.uint64(0x0001_0001_0001_0001)


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


class _Different(NamedTuple):
    """Pixels that differ: where, what they are and what was sent."""

    at: Positions
    new: Pixels
    old: Pixels


class Delta:
    """Compares one canvas, as it changes, with what was sent of it."""

    def __init__(self, canvas: Pixels, width: int, height: int) -> None:
        self._canvas = canvas
        self._sent = np.zeros_like(canvas)
        self._differs = np.zeros(canvas.shape, np.bool_)
        self._size = (width, height)
        self._grid = (canvas.shape[0] // TILE, canvas.shape[1] // TILE)
        self._fresh = True
        self._opaque = False
        self.always_opaque = True

    def take(self, touched: Touched, *, exactly: bool) -> Region | None:
        """Give what to send after such a change; None where nothing of it is visible.

        What is given counts as sent.

        Args:
            touched: Where to look.
            exactly: Whether to send what nobody sees, too.
        """
        region = self._first(touched.box) if self._fresh else None
        self._fresh = False
        if region is None:
            different = self._different(touched)
            found, dirty = self._exact(different) if exactly else self._visible(different)
            region = self._region(touched, found, dirty) if found.size else None
        self.always_opaque = self.always_opaque and self._opaque
        return region

    def _first(self, box: Box) -> Region | None:
        """Send a canvas that is covered at once without looking for what is new of it."""
        whole = Box(0, 0, *self._size)
        covered = box == whole and _all_opaque(self._canvas[whole.slices])
        return self._whole(whole, replaces=False) if covered else None

    def _region(self, touched: Touched, found: Positions, dirty: NDArray[np.bool_]) -> Region:
        """Choose the shape of what to send."""
        clear = touched.clears and not _all_opaque(self._canvas.ravel().take(found))
        self._opaque = self._opaque and not clear
        tiles = _around(dirty)
        dirty = dirty[tiles.slices]
        if clear or dirty.mean() >= MOSTLY_DIRTY:
            return self._whole(self._tight(found), clear)
        return self._tiles(tiles, dirty)

    def _exact(self, different: _Different) -> tuple[Positions, NDArray[np.bool_]]:
        """Give all positions, and which tiles of the canvas hold one."""
        found = different.at
        dirty = np.zeros(self._grid, np.bool_)
        dirty.ravel()[self._tile_of(found)] = True
        return found, dirty

    def _visible(self, different: _Different) -> tuple[Positions, NDArray[np.bool_]]:
        """Give the positions that are to be sent, and which tiles of the canvas hold one."""
        new, old = different.new.view(np.uint8), different.old.view(np.uint8)
        apart = np.maximum(new, old) - np.minimum(new, old)
        far = np.flatnonzero((apart > INVISIBLE).view(np.uint32))
        found, energy = different.at.take(far), _energy(apart.view(np.uint32).take(far))
        tiles = self._tile_of(found)
        dirty = np.bincount(tiles, energy, self._grid[0] * self._grid[1]) >= FAINT
        dirty[tiles[energy > STRONG]] = True
        return found[dirty.take(tiles)], dirty.reshape(self._grid)

    def _tile_of(self, at: Positions) -> NDArray[np.uint32]:
        """Give the number of each position's tile, counted row by row."""
        stride = np.uint32(self._canvas.shape[1])
        pixels = at.astype(np.uint32)
        rows = pixels // stride
        columns = pixels - rows * stride
        return (rows // TILE * (stride // TILE) + columns // TILE).astype(np.uint32, copy=False)

    def _different(self, touched: Touched) -> _Different:
        """Give what differs at all."""
        canvas, sent, differs = self._canvas, self._sent, self._differs
        if touched.positions is not None and touched.pixels is not None:
            old = sent.ravel().take(touched.positions)
            unequal = np.flatnonzero(touched.pixels != old)
            return _Different(touched.positions.take(unequal), touched.pixels.take(unequal), old.take(unequal))
        part, top = touched.box.slices, touched.box.top
        np.not_equal(canvas[part], sent[part], out=differs[part])
        found = np.flatnonzero(differs[top : touched.box.bottom]) + top * canvas.shape[1]
        differs[part] = False
        return _Different(found, canvas.ravel().take(found), sent.ravel().take(found))

    def _tight(self, at: Positions) -> Box:
        """Give the even-aligned rectangle around positions."""
        stride = self._canvas.shape[1]
        columns = at % stride
        top, bottom = int(at[0]) // stride, int(at[-1]) // stride + 1
        return Box(int(columns.min()) & ~1, top & ~1, int(columns.max()) + 1, bottom).clip(*self._size)

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
        flat = GREY if opaque else 0
        pixels = np.full((high * TILE, wide * TILE), flat, np.uint32)
        _by_tile(pixels)[rows, :, columns, :] = content
        box = Box(*(side * TILE for side in tiles)).clip(*self._size)
        pixels = pixels[: box.bottom - box.top, : box.right - box.left]
        if opaque:
            return Region(box, pixels, Cover.TILES, dirty, replaces=False)
        return Region(box, pixels, Cover.ALPHA, None, replaces=False)


def _all_opaque(pixels: Pixels) -> bool:
    return bool((pixels & OPAQUE == OPAQUE).all())


def _around(dirty: NDArray[np.bool_]) -> Box:
    """Give the rectangle around the tiles that are set, counted in tiles."""
    rows, columns = np.flatnonzero(dirty.any(1)), np.flatnonzero(dirty.any(0))
    return Box(int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)


def _energy(apart: Pixels) -> NDArray[np.uint64]:
    """Give the sum over a pixel's channels of their differences squared, those above 127 taken as 127.

    Four 16-bit squares are added in one multiplication; capped, they do not overflow.
    """
    capped = np.minimum(apart.view(np.uint8), 127)
    squares = np.multiply(capped, capped, dtype=np.uint16).view(np.uint64)
    return squares * _SUM_OF_LANES >> np.uint64(48)


def _by_tile(canvas: Pixels) -> Pixels:
    """See a canvas as (tile row, row in it, tile column, column in it)."""
    high, wide = canvas.shape
    return canvas.reshape(high // TILE, TILE, wide // TILE, TILE)


def _skip_translucent(pixels: Pixels) -> None:
    """Let the canvas through where nothing opaque is sent: blended twice, it would not be the same."""
    pixels[pixels & OPAQUE != OPAQUE] = 0
