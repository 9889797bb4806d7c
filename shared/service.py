"""Run one service: connect, serve its ops port, work until SIGTERM or SIGINT, drain."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol, TypeVar

import structlog
import uvloop

from shared import logs
from shared.bus import Bus
from shared.errors import HalftoneError
from shared.nats import NatsBus
from shared.ops import OpsServer
from shared.settings import Settings, load

log = structlog.get_logger()
S = TypeVar("S", bound=Settings)


class Running(Protocol):
    """A service at work."""

    def not_ready(self) -> str:
        """Say why it cannot work right now; empty: it can."""
        ...

    async def drain(self) -> None:
        """Take nothing new and return when what is in hand is done."""
        ...

    async def abort(self) -> None:
        """Give back at once what is still in hand, and free what it holds."""
        ...


def run(name: str, kind: type[S], start: Callable[[Bus, S], Awaitable[Running]]) -> None:
    """Run the service in this process until it is told to stop; exits 0 when drained, 78 (EX_CONFIG) with a line.

    Args:
        name: The service's name, which is also its user on the broker.
        kind: Its settings, read from the environment.
        start: Begins the work on a connected bus.
    """
    try:
        settings = load(kind)
        logs.configure(name, settings.instance, level=settings.log_level, form=settings.log_format)
        uvloop.run(_run(name, settings, start))
    except HalftoneError as error:
        print(f"halftone {name}: {error}", file=sys.stderr)  # noqa: T201 - the last line, for people
        sys.exit(os.EX_CONFIG)


async def _run(name: str, settings: S, start: Callable[[Bus, S], Awaitable[Running]]) -> None:
    stop = _stop_signal()
    bus = NatsBus(f"{name}@{settings.instance}")
    connecting = asyncio.create_task(
        bus.connect(
            settings.nats_url,
            user=settings.nats_user,
            password=settings.nats_password,
            tls_ca=settings.nats_ca,
        )
    )
    if not await _unless_stopped(connecting, stop):
        return
    service = await start(bus, settings)

    def not_ready() -> str:
        return service.not_ready() if bus.connected else "no connection to the broker"

    ops = OpsServer(settings.ops_host, settings.ops_port, not_ready)
    log.info("started", ops=f"http://{settings.ops_host}:{ops.port}")
    await stop.wait()
    log.info("draining")
    try:
        async with asyncio.timeout(settings.drain_seconds):
            await service.drain()
    except TimeoutError:
        log.warning("gave back what was not done in time", seconds=settings.drain_seconds)
    await service.abort()
    await bus.close()
    ops.close()
    log.info("stopped")


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _unless_stopped(task: asyncio.Task[None], stop: asyncio.Event) -> bool:
    """Wait for the task; False where the process was told to stop first."""
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        await task
        return True
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return False
