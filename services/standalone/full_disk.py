"""The broker on a full disk: that is said, and the broker started anew once there is room.

nats-server gives up a stream that it could not write until it is restarted. Nothing is lost by that: what it did not
take it did not acknowledge, and every service tries again until it does.
"""

import asyncio
import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Never

import structlog

from services.standalone.supervisor import Supervised

log = structlog.get_logger()

LOOK_SECONDS = 1.0
ROOM_BYTES = 8 * 1024 * 1024  # with less, the broker would be stuck again at once
STUCK = "JetStream failed to store a msg"  # nats-server's words, said anew at each try


@asynccontextmanager
async def watched(broker: Supervised, folder: Path) -> AsyncGenerator[None]:
    """Mend the broker, whose streams are in `folder`, whenever it is stuck while the block runs."""
    watching = asyncio.create_task(_watch(broker, folder))
    try:
        yield
    finally:
        watching.cancel()


async def _watch(broker: Supervised, folder: Path) -> Never:
    ended = None
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        if STUCK not in broker.last_line or broker.process is ended:
            continue
        log.error("the disk is full: make room, then all goes on and nothing is lost", folder=str(folder))
        while not await asyncio.to_thread(_has_room, folder):  # noqa: ASYNC110 - disks tell nobody
            await asyncio.sleep(LOOK_SECONDS)
        log.warning("there is room on the disk again: restarting the broker", folder=str(folder))
        ended = broker.process
        ended.terminate()


def _has_room(folder: Path) -> bool:
    probe = folder / ".room"
    try:
        probe.write_bytes(b"room")  # a disk may be read-only, too, or a quota used up
        probe.unlink()
        return shutil.disk_usage(folder).free >= ROOM_BYTES
    except OSError:
        return False
