"""What a service tells on /metrics of the things around it: its queue, the broker, its disk, its own build."""

import asyncio
import shutil
from contextlib import suppress
from pathlib import Path

from shared import metrics
from shared.bus import BusUnavailable
from shared.nats import NatsBus
from shared.nats.queues import queue, storage, stream
from shared.topology import CONSUMERS, DLQ
from shared.version import version

LOOK_SECONDS = 5.0
KEEPS_AN_EYE_ON_ALL = "api"  # the service that also tells of the broker as a whole


def tell_build(service: str, revision: str) -> None:
    """Say which program this is, and show what it counts."""
    metrics.start_at_zero(service)
    metrics.BUILD.info({"service": service, "version": version(), "revision": revision})


async def watch(bus: NatsBus, service: str, data: Path | None) -> None:
    """Look around every few seconds until cancelled."""
    while True:
        metrics.BUS_CONNECTED.set(bus.connected)
        if data is not None:
            tell_disk(data)
        if bus.connected:
            with suppress(BusUnavailable):  # the bus itself tells
                await tell_queues(bus, service)
        await asyncio.sleep(LOOK_SECONDS)


async def tell_queues(bus: NatsBus, service: str) -> None:
    """Tell how much waits for `service`, and since when."""
    for consumer in CONSUMERS:
        if consumer.name != service:
            continue
        now = await queue(bus, consumer)
        metrics.QUEUE_WAITING.labels(consumer.name).set(now.waiting)
        metrics.QUEUE_UNSETTLED.labels(consumer.name).set(now.unsettled)
        metrics.QUEUE_OLDEST.labels(consumer.name).set(now.oldest_seconds)
        await _tell_stream(bus, consumer.stream)
    if service == KEEPS_AN_EYE_ON_ALL:
        metrics.DEAD_LETTERS.set(await _tell_stream(bus, DLQ.name))
        taken = await storage(bus)
        metrics.BROKER_STORAGE.set(taken.used)
        metrics.BROKER_STORAGE_LIMIT.set(taken.limit)


def tell_disk(data: Path) -> None:
    """Tell how full the disk is."""
    with suppress(OSError):  # not there yet
        usage = shutil.disk_usage(data)
        metrics.DATA_FREE.set(usage.free)
        metrics.DATA_SIZE.set(usage.total)


async def _tell_stream(bus: NatsBus, name: str) -> int:
    state = await stream(bus, name)
    metrics.STREAM_MESSAGES.labels(name).set(state.messages)
    metrics.STREAM_BYTES.labels(name).set(state.bytes)
    return state.messages
