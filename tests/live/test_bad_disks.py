"""Disks that are full or read-only in the middle of an ingest: all waits, says why once, and then goes on."""

import threading
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tests.live import newspaper
from tests.live.commands import objects, running, until
from tests.live.conftest import Mirrored, arguments
from tests.live.disks import fill, made_read_only, make_room, make_writable, small_disk
from tests.servers import Reply, Request, Site

pytestmark = [pytest.mark.live, pytest.mark.timeout(240)]

IMAGES = 4  # requests for images until the disk goes bad
SIZE = 64 * 1024 * 1024  # bytes: streams and database need some


class Trigger:
    """Does something as the site is asked for the `IMAGES`th image, before it answers."""

    def __init__(self, site: Site, act: Callable[[], object]) -> None:
        self.done = threading.Event()
        self._act = act
        self._images = 0
        for path, page in list(site.pages.items()):
            if path != newspaper.FEED:
                site.pages[path] = self._counted(page)

    def _counted(self, page: Reply | Callable[[Request], Reply]) -> Callable[[Request], Reply]:
        def answer(request: Request) -> Reply:
            self._images += 1
            if self._images == IMAGES:
                self._act()
                self.done.set()
            return page(request) if callable(page) else page  # type: ignore[arg-type, return-value]

        return answer


class Bad(msgspec.Struct, frozen=True):
    """An ingest whose disk has gone bad."""

    data: Path
    err: Path
    end: Callable[[], dict[str, Any]]  # waits for the record

    def said(self, words: str, log: str = "") -> int:
        """Return in how many lines stderr, or a service's log, says so."""
        path = self.data / "logs" / f"{log}.log" if log else self.err
        return sum(words in line for line in path.read_text().splitlines())


@contextmanager
def ingest(
    site: Site, data: Path, spoil: Callable[[], object], *, settings: Mapping[str, str] | None = None
) -> Generator[Bad]:
    """Fetch the newspaper; the block begins once `spoil` has been done in the middle of it."""
    newspaper.publish(site)
    trigger = Trigger(site, spoil)
    err = data.with_name("err")
    with err.open("w") as file, running(*arguments(site), data=data, err=file.fileno(), settings=settings) as command:

        def end() -> dict[str, Any]:
            ended = command.end()
            assert ended.code == 0, err.read_text()
            return msgspec.json.decode(ended.out)

        until(trigger.done.is_set)
        yield Bad(data, err, end)


def nothing_is_lost(bad: Bad, mirrored: Mirrored) -> None:
    """End the ingest: each image is mirrored once, as without the mishap, and the user sees no traceback."""
    record = bad.end()
    assert (record["extra5"], record["extra6"]) == (mirrored.record["extra5"], mirrored.record["extra6"])
    assert sorted(objects(bad.data)) == sorted(objects(mirrored.data))
    assert "Traceback" not in bad.err.read_text()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """An empty data directory."""
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def test_a_full_data_directory_is_waited_for(site: Site, mirrored: Mirrored, data: Path) -> None:
    with small_disk(data, SIZE), ingest(site, data, lambda: fill(data)) as bad:
        until(lambda: bad.said("the disk is full: make room"))
        make_room(data)
        nothing_is_lost(bad, mirrored)
    assert bad.said("the disk is full: make room") == 1


def test_a_full_database_is_waited_for(site: Site, mirrored: Mirrored, data: Path, tmp_path: Path) -> None:
    disk = tmp_path / "database"
    disk.mkdir()
    settings = {"HALFTONE_DATABASE_URL": f"sqlite+aiosqlite:///{disk}/halftone.db"}
    with small_disk(disk, SIZE), ingest(site, data, lambda: fill(disk), settings=settings) as bad:
        until(lambda: bad.said("database or disk is full", "api"))
        until(lambda: len(objects(data)) == len(objects(mirrored.data)))  # nobody else waits for it
        make_room(disk)
        nothing_is_lost(bad, mirrored)
        assert bad.said("the database does not take events right now", "api") == 1


def test_read_only_objects_are_waited_for(site: Site, mirrored: Mirrored, data: Path) -> None:
    disk = data / "objects"
    disk.mkdir()
    with small_disk(disk, SIZE), ingest(site, data, lambda: until(lambda: made_read_only(disk))) as bad:
        until(lambda: bad.said("Read-only file system", "uploader"))
        make_writable(disk)
        nothing_is_lost(bad, mirrored)
