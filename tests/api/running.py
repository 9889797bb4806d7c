"""The whole api, started in the test's loop, with a client that speaks to it over HTTP."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import httpx
import msgspec
from sqlalchemy import select

from services.api.app import Running, start
from services.api.settings import ApiSettings
from services.api.tables import polls
from shared.bus import Bus
from shared.messages import FeedDue, Message, decode
from shared.topology import FETCHER

T = TypeVar("T")


class Site(msgspec.Struct, frozen=True):
    """A running api."""

    running: Running
    bus: Bus
    client: httpx.AsyncClient

    async def say(self, *messages: Message) -> None:
        """Publish what the other services would."""
        for message in messages:
            await self.bus.publish(message)

    async def record(self, request_id: str, wait: float = 10) -> dict[str, Any]:
        """Return the completed record."""
        await eventually(lambda: self.known(request_id), bool)
        answer = await self.client.get(f"/api/records/{request_id}", params={"wait": wait}, timeout=wait + 5)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def known(self, request_id: str) -> bool:
        """Whether the poll is written."""
        async with self.running.api.database.read() as connection:
            return (await connection.execute(select(polls).where(polls.c.request_id == request_id))).first() is not None


@asynccontextmanager
async def running_api(bus: Bus, data: Path, database_url: str = "", **settings: Any) -> AsyncGenerator[Site]:
    """Run the api on a free port."""
    settings = {"http_port": 0} | settings
    running = await start(bus, ApiSettings(data=data, database_url=database_url, **settings))
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{running.port}", trust_env=False) as client:
        try:
            yield Site(running, bus, client)
        finally:
            await running.drain()
            await running.abort()


async def next_due(bus: Bus) -> FeedDue:
    """Take the next FeedDue, as the fetcher would."""
    mailbox = bus.mailbox(FETCHER)
    delivery = await asyncio.wait_for(mailbox.receive(), 15)
    await mailbox.close()
    assert delivery
    await delivery.ack()
    message = decode(delivery.data)
    assert isinstance(message, FeedDue)
    return message


async def eventually(look: Callable[[], Awaitable[T]], wanted: Callable[[T], bool], seconds: float = 10) -> T:
    """Look until it is as wanted."""
    async with asyncio.timeout(seconds):
        while not wanted(seen := await look()):  # noqa: ASYNC110 - what is looked at is in a database
            await asyncio.sleep(0.02)
    return seen
