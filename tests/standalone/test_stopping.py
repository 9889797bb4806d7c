"""A command that is stopped: it ends for sure, and tidies up in peace."""

import asyncio
import os
import signal
from contextlib import suppress

import pytest

from services.standalone.stopping import run, unhurried

STOPPED = 130


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.timeout(10)
def test_work_that_misses_a_cancellation_is_cancelled_again(number: signal.Signals) -> None:
    async def work() -> None:
        os.kill(os.getpid(), number)
        with suppress(asyncio.CancelledError):  # as wait_for does
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    with pytest.raises(SystemExit) as ended:
        run(work(), stopped=STOPPED)

    assert ended.value.code == STOPPED


def test_tidying_up_is_not_cut_short() -> None:
    tidy: list[str] = []

    async def tidy_up() -> None:
        await asyncio.sleep(1)
        tidy.append("all")

    async def work() -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        try:
            await asyncio.sleep(60)
        finally:
            await unhurried(tidy_up())

    with pytest.raises(SystemExit):
        run(work(), stopped=STOPPED)

    assert tidy == ["all"]


def test_work_that_ends_by_itself_gives_its_result() -> None:
    async def work() -> str:
        return "result"

    assert run(work(), stopped=STOPPED) == "result"
