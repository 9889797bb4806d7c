"""Keep a rendition within a budget of bytes: quality gives way first, then size."""

from collections.abc import Callable
from math import sqrt

import msgspec
import numpy as np

from services.transcoder.rendition import RenderOptions, Rendition, Unrenderable

QUALITIES = (15, 30, 45, 60, 75, 100)
SHARES = (0.56, 0.69, 0.80, 0.89, 1.0, 3.0)
"""Bytes at these qualities as a share of those at 75, measured on animations."""
LOWEST = QUALITIES[0]
MARGIN = 0.97
"""What is aimed for, as a share of the budget."""
NARROWEST = 16

Render = Callable[[int, int], Rendition]
"""From a quality and a width to a rendition."""


def within_budget(render: Render, width: int, options: RenderOptions) -> Rendition:
    """Render, and while that is too large, render again at what should fit.

    Raises:
        Unrenderable: Not even a tiny rendition fits.
    """
    made = render(options.quality, width)
    quality = options.quality
    while len(made.data) > options.budget:
        share = options.budget * MARGIN / len(made.data)
        lower = quality_for(share, quality)
        if made.lossless or lower == quality:
            width = int(width * sqrt(share))
        elif share < _share(lower) / _share(quality):
            width = int(width * sqrt(share * _share(quality) / _share(lower)))
        if width < NARROWEST:
            raise Unrenderable(f"no rendition of it fits into {options.budget:,} bytes")
        quality = lower
        made = _noted(render(quality, width), options.budget)
    return made


def quality_for(share: float, quality: int) -> int:
    """Give the highest quality whose bytes are such a share of those at another, or the lowest that is used."""
    wanted = share * _share(quality)
    fitting = (lower for lower in range(quality, LOWEST, -1) if _share(lower) <= wanted)
    return next(fitting, min(quality, LOWEST))


def _share(quality: int) -> float:
    """Read the curve, straight between its points."""
    return float(np.interp(quality, QUALITIES, SHARES))


def _noted(made: Rendition, budget: int) -> Rendition:
    note = f"encoded again to fit into {budget:,} bytes"
    return msgspec.structs.replace(made, notes=(*made.notes, note))
