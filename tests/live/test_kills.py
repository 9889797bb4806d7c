"""Kill -9 of any process in the middle of an ingest changes nothing in its record: nothing lost, nothing twice."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import msgspec
import pytest

from tests.live import newspaper
from tests.live.commands import Command, objects, running
from tests.live.conftest import arguments, fetch
from tests.servers import Reply, Request, Site

pytestmark = pytest.mark.live

AFTER_IMAGES = {"transcoder": 6, "uploader": 14, "api": 22, "broker": 30}  # requests for images that came before
OF_TIME = {
    *("createdTime", "updatedTime", "fetchDate", "publishedOrCreatedDate"),
    *("requestId", "extra4", "fetchMs", "handleMs", "totalMs", "totalSpendMs", "convertSpendMs"),
}


OF_ORDER = {  # which of two sources with the same bytes comes first, and what is known of their host by then
    *("githubHttpCode", "extra22GetBytesInfo", "extra23historyStatusCode"),
}


def timeless(value: Any) -> Any:
    """Return the record without what time changes: its figures, and the order in which images finished."""
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        return {name: timeless(inner) for name, inner in fields.items() if name not in OF_TIME | OF_ORDER}
    if isinstance(value, list):
        return sorted((timeless(inner) for inner in cast("list[Any]", value)), key=msgspec.json.encode)
    return value


class Killer:
    """Kills each process once: the fetcher while it waits for the feed, the others as images are asked for."""

    def __init__(self, site: Site) -> None:
        self.command: Command | None = None
        self.killed: list[str] = []
        self._pages = dict(site.pages)
        self._images = 0
        self._lock = threading.Lock()
        for path, page in self._pages.items():
            site.pages[path] = self._watched(page)

    def _watched(self, page: Reply | Callable[[Request], Reply]) -> Callable[[Request], Reply]:
        def answer(request: Request) -> Reply:
            self._look(request)
            return page(request) if callable(page) else page  # type: ignore[arg-type, return-value]

        return answer

    def _look(self, request: Request) -> None:
        if request.path == newspaper.FEED:
            self._kill("fetcher")
            return
        self._images += 1
        for service, images in AFTER_IMAGES.items():
            if self._images >= images:
                self._kill(service)

    def _kill(self, service: str) -> None:
        if service not in self.killed and self.command is not None:
            self.killed.append(service)
            self.command.kill(service)


@pytest.mark.timeout(240)
def test_a_record_is_the_same_whichever_processes_are_killed_meanwhile(site: Site, tmp_path: Path) -> None:
    newspaper.publish(site)
    undisturbed = fetch(site, tmp_path / "undisturbed")
    killer = Killer(site)
    with running(*arguments(site), data=tmp_path / "killed") as command:
        killer.command = command
        ended = command.end(200)
    assert ended.code == 0, ended.err
    assert killer.killed == ["fetcher", *AFTER_IMAGES]
    assert timeless(msgspec.json.decode(ended.out)) == timeless(msgspec.json.decode(undisturbed.out))
    assert objects(tmp_path / "killed") == objects(tmp_path / "undisturbed")
