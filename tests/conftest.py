"""Fixtures that all tests share: a real broker, and a bus of either kind on it."""

import os
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from playwright.async_api import Browser

from services.standalone import broker as embedded
from shared import logs
from shared.bus import Bus
from shared.memory import MemoryBus
from shared.nats import NatsBus, provision
from tests.chromium import launched


def pytest_xdist_auto_num_workers() -> int:
    """Return how many workers `-n auto` means: more than CPUs, since many tests wait."""
    return max(2, (os.cpu_count() or 1) * 3 // 2)


@pytest.fixture(autouse=True)
def unconfigured_logs(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep commands that run in the tests' process from setting up its logs, once for all that follow."""

    def leave(service: str, instance: str, **options: str) -> None:
        del service, instance, options

    monkeypatch.setattr(logs, "configure", leave)


@contextmanager
def running_broker(folder: Path) -> Generator[embedded.Broker]:
    """Start a real nats-server that keeps its streams below `folder`."""
    prepared = embedded.prepare(folder)
    process = embedded.start(prepared, folder / "broker.log")
    try:
        yield prepared
    finally:
        process.kill()
        process.wait()


@asynccontextmanager
async def provisioned_bus(broker: embedded.Broker) -> AsyncGenerator[NatsBus]:
    """Connect to the broker and make its streams, consumers and buckets."""
    bus = NatsBus("test")
    await bus.connect(broker.url, user=embedded.USER, password=broker.password)
    try:
        await provision(bus)
        yield bus
    finally:
        await bus.close()


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[embedded.Broker]:
    """A real nats-server of this test's own."""
    with running_broker(tmp_path / "data") as running:
        yield running


@pytest.fixture
async def nats_bus(broker: embedded.Broker) -> AsyncIterator[NatsBus]:
    """A provisioned connection to the test's own broker."""
    async with provisioned_bus(broker) as bus:
        yield bus


@pytest.fixture(params=["memory", "nats"])
async def bus(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Bus]:
    """Each kind of bus in turn: what holds for one holds for the other."""
    async with AsyncExitStack() as stack:
        if request.param == "nats":
            running = stack.enter_context(running_broker(tmp_path / "data"))
            yield await stack.enter_async_context(provisioned_bus(running))
            return
        memory = MemoryBus()
        yield memory
        await memory.close()


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A Chromium of this test's own."""
    async with launched() as chromium:
        yield chromium
