"""A disk without room in the middle of an ingest: the images wait for room, and nothing is lost."""

from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tests.live import newspaper
from tests.live.commands import objects, running, until
from tests.live.conftest import arguments, fetch
from tests.live.disks import small_disk
from tests.servers import Site

pytestmark = pytest.mark.live

ROOM = 8 * 1024 * 1024  # bytes of the disk that holds the objects


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A data directory whose objects are on a small disk of their own."""
    folder = tmp_path / "data"
    disk = folder / "objects"
    disk.mkdir(parents=True)
    with small_disk(disk, ROOM):
        yield folder


def test_images_wait_for_room_and_are_all_mirrored_then(site: Site, data: Path, tmp_path: Path) -> None:
    newspaper.publish(site)
    undisturbed = msgspec.json.decode(fetch(site, tmp_path / "undisturbed").out)
    ballast = data / "objects" / "ballast"
    ballast.write_bytes(bytes(ROOM - 4096))  # less a page for the folders
    with running(*arguments(site), data=data) as command:
        until(lambda: _said_of_room(data), 20)
        assert command.process.poll() is None
        assert len(objects(data)) < len(objects(tmp_path / "undisturbed"))
        ballast.unlink()
        ended = command.end()
    assert ended.code == 0, ended.err
    record = msgspec.json.decode(ended.out)
    assert (record["extra5"], record["extra6"]) == (undisturbed["extra5"], undisturbed["extra6"])
    assert sorted(objects(data)) == sorted(objects(tmp_path / "undisturbed"))  # in whichever accounts had room


def _said_of_room(data: Path) -> list[str]:
    """Return the uploader's lines that speak of it."""
    log = data / "logs" / "uploader.log"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    return [line for line in lines if "No space left on device" in line]
