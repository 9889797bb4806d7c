"""`halftone gc` beside a running system: what counts as referred to, and what goes."""

import os
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest
from sqlalchemy import Table, insert

from services.api.database import open_database
from services.api.tables import images, polls
from services.standalone.accounts import uploader_beside
from services.standalone.gc import collect
from services.uploader.names import content_hash
from shared.errors import Misconfigured
from shared.messages import ImageMirrored
from shared.nats import NatsBus
from shared.topology import IMAGES, RENDITIONS
from tests.live.commands import halftone

DAYS = 30.0


@pytest.fixture
def data(nats_bus: NatsBus, tmp_path: Path) -> Path:
    """The data directory of a running broker."""
    assert nats_bus.connected
    return tmp_path / "data"


async def stored(bus: NatsBus, data: Path, *contents: bytes) -> list[str]:
    """Upload these, long ago; return their URLs."""
    async with uploader_beside(data) as uploader:
        urls = [(await uploader.upload(content, "image/webp", "2026/11/25")).url for content in contents]
    for content in contents:
        await bus.bucket(RENDITIONS).delete(content_hash(content))
    age(data)
    return urls


def age(data: Path) -> None:
    then = time.time() - 2 * DAYS * 86_400
    for path in data.rglob("*.webp"):
        os.utime(path, (then, then))


async def insert_row(data: Path, table: Table, **values: Any) -> None:
    database = await open_database("", data)
    async with database.write() as connection:
        await connection.execute(insert(table).values(**values))
    await database.close()


async def refer_from_an_image(data: Path, url: str) -> None:
    await insert_row(data, images, image="a" * 32, source="http://x/1.png", host="x", state="mirrored", url=url)


def left(data: Path) -> set[str]:
    return {path.stem for path in data.rglob("*.webp")}


def hashes(*contents: bytes) -> set[str]:
    return {content_hash(content) for content in contents}


async def test_what_an_image_leads_to_is_kept_and_the_rest_goes(
    nats_bus: NatsBus, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url, _ = await stored(nats_bus, data, b"kept", b"garbage")
    await refer_from_an_image(data, url)
    await collect(data, retention_days=DAYS, delete=True)
    assert left(data) == hashes(b"kept")
    (removed,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("removed")]
    assert removed.endswith(f"/2026/11/25/{content_hash(b'garbage')}.webp")


async def test_what_only_an_old_record_names_is_kept(nats_bus: NatsBus, data: Path) -> None:
    url, _ = await stored(nats_bus, data, b"kept", b"garbage")
    record = msgspec.json.encode({"extra12": [{"fixedGithubDest": url}]})
    await insert_row(data, polls, request_id="r", feed=1, started_ms=0, deadline_ms=0, record=record)
    await collect(data, retention_days=DAYS, delete=True)
    assert left(data) == hashes(b"kept")


async def test_what_is_remembered_as_mirrored_is_kept(nats_bus: NatsBus, data: Path) -> None:
    first, second, _ = await stored(nats_bus, data, b"kept", b"kept too", b"garbage")
    await refer_from_an_image(data, first)
    mirrored = ImageMirrored(
        image="b" * 32,
        source="http://x/2.png",
        url=second,
        width=1,
        height=1,
        frames=1,
        source_bytes=1,
        rendition_bytes=1,
    )
    await nats_bus.bucket(IMAGES).put(mirrored.image, msgspec.json.encode(mirrored))
    await collect(data, retention_days=DAYS, delete=True)
    assert left(data) == hashes(b"kept", b"kept too")


async def test_what_is_younger_than_the_retention_is_kept(nats_bus: NatsBus, data: Path) -> None:
    url, _ = await stored(nats_bus, data, b"kept", b"young")
    await refer_from_an_image(data, url)
    await collect(data, retention_days=3 * DAYS, delete=True)
    assert left(data) == hashes(b"kept", b"young")


async def test_nothing_goes_where_nothing_at_all_is_referred_to(nats_bus: NatsBus, data: Path) -> None:
    await stored(nats_bus, data, b"everything")
    await (await open_database("", data)).close()
    with pytest.raises(Misconfigured, match="all would go"):
        await collect(data, retention_days=DAYS, delete=True)
    assert left(data) == hashes(b"everything")


async def test_a_system_that_has_stored_nothing_yet_has_nothing_to_remove(
    data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await (await open_database("", data)).close()
    await collect(data, retention_days=DAYS, delete=True)
    assert capsys.readouterr().out.count("0 objects (0 bytes), 0 (0 bytes) that nothing refers to") == 4


async def test_a_data_directory_without_a_database_is_refused(data: Path) -> None:
    with pytest.raises(Misconfigured, match="no database in"):
        await collect(data, retention_days=DAYS, delete=False)
    assert not (data / "halftone.db").exists()


async def test_the_command_only_tells_unless_it_is_told_to_delete(nats_bus: NatsBus, data: Path) -> None:
    url, _ = await stored(nats_bus, data, b"kept", b"garbage")
    await refer_from_an_image(data, url)
    told = halftone("gc", data=data)
    assert (told.code, told.err) == (0, "")
    assert f"{content_hash(b'garbage')}.webp\n" in told.out
    assert told.out.endswith("dry run: nothing was removed; --delete removes\n")
    assert left(data) == hashes(b"kept", b"garbage")
    assert halftone("gc", "--delete", data=data).code == 0
    assert left(data) == hashes(b"kept")
