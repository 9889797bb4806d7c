"""Time for deadlines: the wall clock, less the jumps forward that nobody's work could have made use of."""

import time
from collections.abc import Callable

import structlog

log = structlog.get_logger()

JUMP_SECONDS = 5.0  # more between two looks is no adjustment but a jump, or a machine that slept


def _clocks() -> tuple[float, float]:
    return time.time(), time.monotonic()


class DeadlineClock:
    """Tells the time; a jump forward counts only once everything that was under way before it is overdue anyway.

    A jump back is believed at once: deadlines set before it come later by as much, and none comes too early.

    Args:
        remembered: Seconds for which a jump forward does not count: the longest that a deadline may be away.
        clocks: Returns epoch seconds, as deadlines are written down, and seconds that only ever grow.
    """

    def __init__(self, remembered: float, clocks: Callable[[], tuple[float, float]] = _clocks) -> None:
        self._remembered = remembered
        self._clocks = clocks
        wall, steady = clocks()
        self._offset = wall - steady
        self._jumps: list[tuple[float, float]] = []  # when by the steady clock, and how far

    def now_ms(self) -> int:
        """Return by what time deadlines are measured, epoch ms; to be asked every second or so."""
        wall, steady = self._clocks()
        offset, self._offset = self._offset, wall - steady
        jump = self._offset - offset
        if abs(jump) > JUMP_SECONDS:
            log.warning("the clock jumped", seconds=round(jump))
        if jump > JUMP_SECONDS:
            self._jumps.append((steady, jump))
        self._jumps = [(at, far) for at, far in self._jumps if steady - at < self._remembered]
        return int((wall - sum(far for _, far in self._jumps)) * 1000)
