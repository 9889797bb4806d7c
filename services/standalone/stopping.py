"""Run a command's work until it is done or somebody stops it: SIGINT and SIGTERM cancel it, and it tidies up."""

import asyncio
import signal
import sys
from collections.abc import Awaitable, Coroutine
from contextlib import suppress
from typing import TypeVar

from shared import logs

T = TypeVar("T")
SIGNALS = (signal.SIGINT, signal.SIGTERM)
INSIST_SECONDS = 0.2


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

    stopping = asyncio.Event()
    for number in SIGNALS:
        loop.add_signal_handler(number, stopping.set)
    insisting = asyncio.create_task(_insist(stopping, task))
    try:
        return await task
    finally:
        insisting.cancel()


async def _insist(stopping: asyncio.Event, task: asyncio.Future[T]) -> None:
    """Cancel until it is heard: `asyncio.wait_for` drops a cancellation that comes together with a result (3.11)."""
    await stopping.wait()
    while not task.done():
        task.cancel()
        await asyncio.sleep(INSIST_SECONDS)


async def unhurried(work: Awaitable[T]) -> T:
    """Return what `work` comes to, however often this task is cancelled meanwhile: for tidying up."""
    done = asyncio.ensure_future(work)
    while not done.done():
        with suppress(asyncio.CancelledError):
            await asyncio.wait({done})
    return done.result()
