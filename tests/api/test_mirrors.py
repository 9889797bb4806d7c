"""Mirrored feeds kept in memory: rendered once for all who ask, and beside those who ask all the time."""

import asyncio

import pytest

from services.api import mirrors
from services.api.mirrors import Kept, Mirrors

KEY = (1, "atom")


class Press:
    """Renders when it is let."""

    def __init__(self) -> None:
        self.made = 0
        self.let = asyncio.Event()

    async def make(self) -> Kept:
        await self.let.wait()
        self.made += 1
        return Kept(b"", str(self.made), 0)


@pytest.fixture
async def press() -> Press:
    return Press()


async def tag(kept: Mirrors, happened: int, press: Press) -> str:
    return (await asyncio.wait_for(kept.get(KEY, happened, press.make), 1)).tag


async def test_those_who_ask_at_once_get_one_rendering(press: Press) -> None:
    kept = Mirrors()
    asking = [asyncio.create_task(tag(kept, 0, press)) for _ in range(5)]
    await asyncio.sleep(0)
    press.let.set()
    assert await asyncio.gather(*asking) == ["1"] * 5


async def test_one_that_may_have_changed_is_served_while_it_is_made_anew(
    press: Press, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirrors, "FRESH_SECONDS", -1)
    kept = Mirrors()
    press.let.set()
    assert await tag(kept, 0, press) == "1"
    assert await tag(kept, 0, press) == "1"
    press.let.clear()
    assert await tag(kept, 1, press) == "1"
    press.let.set()
    await asyncio.sleep(0.01)
    assert await tag(kept, 1, press) == "2"


async def test_one_that_is_old_is_waited_for(press: Press, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirrors, "FRESH_SECONDS", -1)
    monkeypatch.setattr(mirrors, "STALE_SECONDS", -1)
    kept = Mirrors()
    press.let.set()
    assert await tag(kept, 0, press) == "1"
    assert await tag(kept, 1, press) == "2"


async def test_a_failure_is_told_and_the_next_one_is_tried(press: Press) -> None:
    kept = Mirrors()

    async def fail() -> Kept:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        await kept.get(KEY, 0, fail)
    press.let.set()
    assert await tag(kept, 0, press) == "1"
