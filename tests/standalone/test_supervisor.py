"""Processes are kept running, told apart from those that will not run, and all ended."""

import asyncio
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from services.standalone.supervisor import Supervised, Supervisor

SLEEP = "import time; print('up', flush=True); time.sleep(60)"
CHATTY = f"for line in range(10_000): print(line)\n{SLEEP}"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); time.sleep(60)"


@pytest.fixture
async def supervisor() -> AsyncIterator[Supervisor]:
    """One that leaves nothing behind."""
    it = Supervisor()
    yield it
    await it.stop()
    await it.stop_first()


def start(supervisor: Supervisor, tmp_path: Path, script: str) -> Supervised:
    """Supervise a Python script."""
    return supervisor.add("it", [sys.executable, "-c", script], {}, tmp_path / "log")


async def until(look: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not look():  # noqa: ASYNC110 - processes tell nobody when they die
            await asyncio.sleep(0.02)


async def test_a_process_that_crashes_runs_again(supervisor: Supervisor, tmp_path: Path) -> None:
    it = start(supervisor, tmp_path, SLEEP)
    first = it.process.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: it.process.pid != first and it.process.poll() is None)
    assert supervisor.refusal == ""


async def test_a_process_outlives_a_log_on_a_full_disk(supervisor: Supervisor) -> None:
    it = supervisor.add("it", [sys.executable, "-c", CHATTY], {}, Path("/dev/full"))
    await until(lambda: it.last_line == "up")
    assert it.process.poll() is None


async def test_a_process_that_is_misconfigured_is_not_started_again_and_its_reason_is_told(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    it = start(supervisor, tmp_path, f"print('halftone api: no such port'); raise SystemExit({os.EX_CONFIG})")
    await until(lambda: supervisor.refusal)
    assert supervisor.refusal == "api: no such port"
    assert it.failures == 0


async def test_a_process_that_dies_again_and_again_is_named_with_its_last_words(
    supervisor: Supervisor, tmp_path: Path
) -> None:
    start(supervisor, tmp_path, "raise SystemExit('nothing works')")
    await until(lambda: supervisor.stumbling)
    assert supervisor.stumbling == "it does not start: nothing works"


async def test_output_goes_to_the_log_file(supervisor: Supervisor, tmp_path: Path) -> None:
    start(supervisor, tmp_path, SLEEP)
    await until(lambda: (tmp_path / "log").exists() and (tmp_path / "log").read_text() == "up\n")


async def test_even_one_that_ignores_sigterm_is_ended_within_seconds(supervisor: Supervisor, tmp_path: Path) -> None:
    first = start(supervisor, tmp_path, SLEEP)
    stubborn = start(supervisor, tmp_path, STUBBORN)
    await until(lambda: stubborn.last_line == first.last_line == "up")
    started = time.monotonic()
    await supervisor.stop()
    assert (first.process.poll(), stubborn.process.poll()) == (None, -signal.SIGKILL)
    await supervisor.stop_first()
    assert first.process.poll() == -signal.SIGTERM
    assert time.monotonic() - started < 5
