"""However `halftone` ends, nothing of it is left behind; whatever of it crashes is started again."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live import newspaper
from tests.live.commands import Command, free_port, running, until
from tests.live.conftest import arguments
from tests.servers import Site

pytestmark = pytest.mark.live
STOP_SECONDS = 5.0


def interrupted(command: Command) -> None:
    command.interrupt()


def terminated(command: Command) -> None:
    command.process.send_signal(signal.SIGTERM)


def stops(command: Command, stop: Callable[[Command], None], code: int) -> str:
    started = time.monotonic()
    stop(command)
    ended = command.end()
    assert time.monotonic() - started < STOP_SECONDS
    assert command.alive() == {}
    assert (ended.code, "Traceback" in ended.err) == (code, False), ended.err
    return ended.err


@pytest.mark.parametrize("stop", [interrupted, terminated])
@pytest.mark.parametrize("step", [".lock", "uploader", "halftone.db"])
def test_a_signal_ends_all_at_any_step_of_the_start(stop: Callable[[Command], None], step: str, tmp_path: Path) -> None:
    with running("up", "--port", str(free_port()), data=tmp_path) as up:
        until(lambda: (tmp_path / step).exists() or up.find(step))
        stops(up, stop, code=0)


@pytest.mark.parametrize("stop", [interrupted, terminated])
def test_a_signal_ends_all_in_the_middle_of_an_ingest(
    stop: Callable[[Command], None], site: Site, tmp_path: Path
) -> None:
    newspaper.publish(site)
    with running(*arguments(site), data=tmp_path) as fetch:
        until(lambda: len(site.requests) > 10)
        assert "completes this record, at /api/records/" in stops(fetch, stop, code=130)


def test_a_signal_ends_all_also_when_the_broker_has_just_died(site: Site, tmp_path: Path) -> None:
    newspaper.publish(site)
    with running(*arguments(site), data=tmp_path) as fetch:
        until(lambda: len(site.requests) > 10)
        fetch.kill("broker")
        stops(fetch, interrupted, code=130)


def test_kill_of_the_main_process_leaves_none_behind(site: Site, tmp_path: Path) -> None:
    newspaper.publish(site)
    with running(*arguments(site), data=tmp_path) as fetch:
        until(lambda: len(site.requests) > 10)
        os.kill(fetch.process.pid, signal.SIGKILL)
        until(lambda: not fetch.alive(), seconds=10)


def test_a_crashed_process_is_started_again(tmp_path: Path) -> None:
    with running("up", "--port", str(free_port()), data=tmp_path) as up:
        for name in ("broker", "fetcher", "transcoder", "uploader", "api"):
            killed = up.kill(name)
            until(lambda name=name, killed=killed: up.find(name) not in {None, killed})
        stops(up, terminated, code=0)
