"""Wakes those who follow events over HTTP when this replica has written some, and lets them go when it stops."""

import asyncio
from contextlib import suppress


class Tidings:
    """Something happened, or it is over."""

    def __init__(self) -> None:
        self._news = asyncio.Event()
        self.over = False
        self.count = 0  # of what happened

    def tell(self) -> None:
        """Wake all who wait now."""
        self.count += 1
        self._news.set()
        self._news = asyncio.Event()

    def close(self) -> None:
        """Have all who follow leave."""
        self.over = True
        self.tell()

    async def wait(self, seconds: float) -> None:
        """Return when something happened, or after `seconds`."""
        if not self.over:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), seconds)
