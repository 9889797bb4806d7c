"""Put GIF frames together on a canvas as browsers do: paint, then keep, clear or restore.

Source: GIF89a, section 23, and browsers' reading of it: a cleared rectangle is transparent, not the background
colour.
"""

from services.transcoder.canvas import Box, Paint, Pixels, Touched, blank
from services.transcoder.gif import Disposal


class Screen:
    """What a browser shows of a GIF, frame after frame."""

    def __init__(self, width: int, height: int) -> None:
        self.pixels = blank(width, height)
        self._due: tuple[Box, Pixels | int] | None = None

    def draw(self, paint: Paint, disposal: Disposal) -> Touched:
        """Dispose of the frame before, then paint this one; give what may have changed."""
        cleared = self._dispose()
        view = self.pixels[paint.box.slices]
        self._due = _afterwards(disposal, paint.box, view)
        if paint.positions is None:
            view *= paint.pixels == 0  # faster than a masked copy where the mask is dithered
            view |= paint.pixels
        else:
            self.pixels.ravel()[paint.positions] = paint.pixels
        if cleared:
            return Touched(paint.box.union(cleared), None, None, clears=True)
        if paint.positions is None:
            return Touched(paint.box, None, None, clears=False)
        return Touched(paint.box, paint.positions, paint.pixels, clears=False)

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
