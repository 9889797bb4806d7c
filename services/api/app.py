"""Puts the api together: database, assembler, clock and HTTP in one loop."""

from services.api.actor import IN_HAND, Assembler
from services.api.asking import Asking
from services.api.clock import Clock
from services.api.completer import Completer
from services.api.database import Database, open_database
from services.api.doorkeeper import Doorkeeper, check_address
from services.api.feeds import Feeds
from services.api.following import Following
from services.api.mirrors import Mirrors
from services.api.page.numbers import Counter
from services.api.retrying import Retrying
from services.api.services import Api
from services.api.settings import ApiSettings
from services.api.tidings import Tidings
from services.api.waiters import Waiters
from services.api.web import WebServer, application
from services.api.wording import wording
from services.api.writer import Writer
from shared.actor import Actor
from shared.bus import Bus
from shared.guard import parse_origins


class Running:
    """The api at work."""

    def __init__(self, settings: ApiSettings, database: Database, bus: Bus) -> None:
        deadline = settings.record_deadline
        waiters = Waiters(database)
        tidings = Tidings()
        asking = Asking(database, bus, deadline=deadline)
        words = wording(settings.locale, settings.time_zone)
        self.api = Api(
            settings=settings,
            database=database,
            bus=bus,
            feeds=Feeds(database, bus, parse_origins(settings.allow_hosts)),
            asking=asking,
            waiters=waiters,
            retrying=Retrying(database, bus, deadline=deadline),
            tidings=tidings,
            following=Following(database),
            doorkeeper=Doorkeeper(database, settings),
            counter=Counter(database),
            mirrors=Mirrors(),
        )
        self._server = WebServer(application(self.api), settings.http_host, settings.http_port)
        self._completer = Completer(database, bus, words, waiters, deadline=deadline)
        self._writer = Writer(database, deadline=deadline, ready=self._written)
        self._actor = Actor(bus, Assembler(self._writer, self.api.feeds), tasks=settings.concurrency or IN_HAND)
        self._clock = Clock(self.api, self._completer)

    @property
    def port(self) -> int:
        """Where it listens."""
        return self._server.port

    async def listening(self) -> None:
        """Return once it can be reached.

        Raises:
            Misconfigured: It cannot.
        """
        await self._server.listening()

    def not_ready(self) -> str:
        """See `shared.service.Running`."""
        return "" if self._server.running else "the HTTP server has stopped"

    def _written(self, ready: set[str]) -> None:
        self._completer.look_at(ready)
        self.api.tidings.tell()

    async def drain(self) -> None:
        """See `shared.service.Running`."""
        await self._actor.drain()
        self.api.tidings.close()
        await self._server.close()

    async def abort(self) -> None:
        """See `shared.service.Running`."""
        await self._actor.abort()
        await self._clock.close()
        await self._writer.close()
        await self._completer.close()
        self.api.tidings.close()
        await self._server.close()
        await self.api.following.close()
        await self.api.database.close()


async def start(bus: Bus, settings: ApiSettings) -> Running:
    """Open the database and begin.

    Raises:
        Misconfigured: The database, the address or a setting does not work.
    """
    database = await open_database(settings.database_url, settings.data)
    try:
        await check_address(database, settings.http_host)
        running = Running(settings, database, bus)
    except BaseException:
        await database.close()
        raise
    try:
        await running.listening()
    except BaseException:
        await running.abort()
        raise
    return running
