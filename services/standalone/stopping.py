"""Run a command's work until it is done or somebody stops it: SIGINT and SIGTERM cancel it once, and it tidies up."""

import asyncio
import signal
import sys
from collections.abc import Coroutine
from typing import TypeVar

from shared import logs

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM)


def run(work: Coroutine[None, None, T], *, stopped: int) -> T:
    """Return what `work` comes to; exits with `stopped` where a signal cancelled it."""
    logs.configure("standalone", "halftone", level="error", form="text")
    try:
        return asyncio.run(_until_stopped(work))
    except asyncio.CancelledError:
        sys.exit(stopped)


async def _until_stopped(work: Coroutine[None, None, T]) -> T:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()

    def stop() -> None:
        task.cancel()
        for number in SIGNALS:  # the way out is under way: a second Ctrl-C must not cut it short
            loop.add_signal_handler(number, lambda: None)

    for number in SIGNALS:
        loop.add_signal_handler(number, stop)
    return await task
