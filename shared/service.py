"""Run one service: connect, serve its ops port, work until SIGTERM or SIGINT, drain."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from typing import Protocol, TypeVar

import structlog
import uvloop

from shared import logs, tracing
from shared.bus import Bus
from shared.errors import HalftoneError, Misconfigured
from shared.nats import NatsBus
from shared.ops import OpsServer
from shared.settings import Settings, load
from shared.watch import tell_build, watch

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
    """Run the service in this process until it is told to stop.

    Exits with 0 when drained; with a line and 78 (EX_CONFIG) where it cannot start as configured, 75 (EX_TEMPFAIL)
    where the broker stopped answering meanwhile.

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
        sys.exit(os.EX_CONFIG if isinstance(error, Misconfigured) else os.EX_TEMPFAIL)


async def _run(name: str, settings: S, start: Callable[[Bus, S], Awaitable[Running]]) -> None:
    stop = _stop_signal()
    bus = NatsBus(f"{name}@{settings.instance}", lost=stop.set)  # whoever watches over us starts us anew
    service: Running | None = None

    def not_ready() -> str:
        if stop.is_set():
            return "draining"
        if not bus.connected:
            return "no connection to the broker"
        return service.not_ready() if service else "starting"

    tell_build(name, settings.revision)
    tracing.start(name, settings.instance, settings.traces)
    ops = OpsServer(settings.ops_host, settings.ops_port, not_ready)
    if await _unless_stopped(_connect(bus, settings), stop):
        service = await start(bus, settings)
        log.info("started", ops=f"http://{settings.ops_host}:{ops.port}")
        watching = asyncio.create_task(watch(bus, name, getattr(settings, "data", None)))
        await stop.wait()
        watching.cancel()
        await _drain(service, settings.drain_seconds)
        await bus.close()
    ops.close()
    tracing.stop()
    log.info("stopped")


async def _connect(bus: NatsBus, settings: Settings) -> None:
    await bus.connect(
        settings.nats_url, user=settings.nats_user, password=settings.nats_password, tls_ca=settings.nats_ca
    )


async def _drain(service: Running, seconds: float) -> None:
    log.info("draining")
    try:
        async with asyncio.timeout(seconds):
            await service.drain()
    except TimeoutError:
        log.warning("gave back what was not done in time", seconds=seconds)
    await service.abort()


def _stop_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    return stop


async def _unless_stopped(work: Coroutine[None, None, None], stop: asyncio.Event) -> bool:
    """Do the work; False where the process was told to stop first."""
    task, stopping = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait({task, stopping}, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()
    if task.done():
        await task
        return True
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
    return False
