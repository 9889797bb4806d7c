"""The machine's clock jumps an hour, either way: no image fails before its time, and no poll is lost."""

import asyncio
import time

import pytest

from services.api.jumps import DeadlineClock
from shared.memory import MemoryBus
from tests.api.builders import SITE, article, failed, found, mirrored, polled, wanted
from tests.api.running import Site, eventually, next_due

HOUR = 3600.0
REQUEST = "0123456789abcdef0123456789abcdef_1"
ONE = article("one", wanted("a.gif", "cover"), wanted("b.png"))

real_time = time.time


def jump(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Have the wall clock differ from the real one by so much from now on."""
    monkeypatch.setattr(time, "time", lambda: real_time() + seconds)


class Clocks:
    """A wall clock and a steady one, as far as the test has let them go."""

    def __init__(self) -> None:
        self.wall, self.steady = 1_000_000.0, 50.0
        self.deadlines = DeadlineClock(600, lambda: (self.wall, self.steady))

    def after(self, seconds: float, *, jump: float = 0.0) -> float:
        """Let time pass, and the wall clock jump besides; return by what time deadlines are measured, seconds."""
        self.steady += seconds
        self.wall += seconds + jump
        return self.deadlines.now_ms() / 1000


def test_without_jumps_deadlines_are_measured_by_the_wall_clock() -> None:
    clocks = Clocks()
    assert [clocks.after(1, jump=2) for _ in range(3)] == [1_000_003, 1_000_006, 1_000_009]


def test_a_jump_forward_counts_once_what_was_under_way_is_overdue_anyway() -> None:
    clocks = Clocks()
    assert clocks.after(1, jump=HOUR) == 1_000_001
    assert clocks.after(599) == 1_000_600
    assert clocks.after(1) == 1_000_601 + HOUR


def test_a_jump_back_counts_at_once_so_that_no_deadline_comes_too_early() -> None:
    assert Clocks().after(1, jump=-HOUR) == 1_000_001 - HOUR


@pytest.mark.parametrize("seconds", [HOUR, -HOUR])
async def test_images_under_way_are_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    await site.say(found(REQUEST, ONE), polled(REQUEST, ONE))
    await eventually(lambda: site.known(REQUEST), bool)
    jump(monkeypatch, seconds)
    await asyncio.sleep(2.2)  # two ticks
    assert (await site.client.get(f"/api/records/{REQUEST}")).status_code == 202
    await site.say(mirrored("a.gif"), mirrored("b.png"))
    record = await site.record(REQUEST)
    assert (record["extra5"], record["extra6"]) == (2, 2)


async def test_an_image_that_fails_after_a_jump_forward_completes_the_record(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.say(found(REQUEST, ONE), polled(REQUEST, ONE))
    await eventually(lambda: site.known(REQUEST), bool)
    jump(monkeypatch, HOUR)
    await site.say(mirrored("a.gif"), failed("b.png"))
    record = await site.record(REQUEST)
    assert (record["extra5"], record["extra6"]) == (2, 1)


async def test_a_poll_asked_for_before_a_jump_back_is_asked_for_again(
    site: Site, memory_bus: MemoryBus, monkeypatch: pytest.MonkeyPatch
) -> None:
    await site.client.post("/api/fetches", json={"url": f"{SITE}/feed.xml"})
    lost = await next_due(memory_bus)
    jump(monkeypatch, -HOUR)
    assert (await next_due(memory_bus)).request_id == lost.request_id
