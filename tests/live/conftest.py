"""What the tests of the running system share: the newspaper on loopback, and one fetch of it."""

import asyncio
import threading
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.live import newspaper
from tests.live.commands import Ended, free_port, halftone
from tests.servers import Site, running_site


@contextmanager
def serving() -> Generator[Site]:
    """Serve a site from a thread of its own, since the tests wait for processes."""
    ready: list[Site] = []
    started = threading.Event()
    loop = asyncio.new_event_loop()
    over = asyncio.Event()

    async def serve() -> None:
        async with running_site() as site:
            ready.append(site)
            started.set()
            await over.wait()

    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    started.wait(10)
    try:
        yield ready[0]
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join(10)
        loop.close()


class Mirrored(msgspec.Struct, frozen=True):
    """The newspaper after one `halftone fetch`."""

    site: Site
    data: Path
    public_port: int  # of the URLs in the record
    ended: Ended
    record: dict[str, Any]

    def fetch(self) -> Ended:
        """Fetch it once more."""
        return fetch(self.site, self.data, self.public_port)


def fetch(site: Site, data: Path, public_port: int = 8080) -> Ended:
    """Run `halftone fetch` on the site's feed."""
    return halftone(*arguments(site), data=data, public_port=public_port)


def arguments(site: Site) -> tuple[str, ...]:
    """Return what follows `halftone` to fetch the site's feed."""
    return ("fetch", site.url(newspaper.FEED), "--allow-host", f"127.0.0.1:{site.port}")


@pytest.fixture
def site() -> Generator[Site]:
    """A site on loopback, with nothing on it."""
    with serving() as running:
        yield running


@pytest.fixture(scope="package")
def mirrored(tmp_path_factory: pytest.TempPathFactory) -> Generator[Mirrored]:
    """The newspaper, fetched once."""
    data = tmp_path_factory.mktemp("mirrored")
    public_port = free_port()
    with serving() as site:
        newspaper.publish(site)
        ended = fetch(site, data, public_port)
        assert ended.code == 0, ended.err
        yield Mirrored(site, data, public_port, ended, msgspec.json.decode(ended.out))
