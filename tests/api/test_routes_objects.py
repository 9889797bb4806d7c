"""Objects of local storage accounts over HTTP."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from shared.memory import MemoryBus
from tests.api.running import Site, running_api

NAME = "2026/11/25/0123456789abcdef0123456789abcdef.webp"


@pytest.fixture
async def stored(memory_bus: MemoryBus, tmp_path: Path) -> Any:
    """A site with one object in a local account."""
    path = tmp_path / "objects" / "local-1" / NAME
    path.parent.mkdir(parents=True)
    path.write_bytes(bytes(range(100)))
    async with running_api(memory_bus, tmp_path) as site:
        yield site


async def test_objects_are_served_for_ever_under_their_own_type(stored: Site) -> None:
    answer = await stored.client.get(f"/img/local-1/{NAME}")

    assert (answer.status_code, answer.content) == (200, bytes(range(100)))
    assert answer.headers["content-type"] == "image/webp"
    assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert answer.headers["etag"] == '"0123456789abcdef0123456789abcdef"'
    assert answer.headers["x-content-type-options"] == "nosniff"


async def test_an_object_that_the_client_has_is_not_sent(stored: Site) -> None:
    headers = {"If-None-Match": '"0123456789abcdef0123456789abcdef"'}

    assert (await stored.client.get(f"/img/local-1/{NAME}", headers=headers)).status_code == 304


async def test_head_tells_an_objects_length(stored: Site) -> None:
    answer = await stored.client.head(f"/img/local-1/{NAME}")

    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "100", b"")


@pytest.mark.parametrize(
    ("asked", "status", "content"),
    [
        ("bytes=0-9", 206, bytes(range(10))),
        ("bytes=90-", 206, bytes(range(90, 100))),
        ("bytes=-5", 206, bytes(range(95, 100))),
        ("bytes=95-500", 206, bytes(range(95, 100))),
        ("bytes=5-1", 200, bytes(range(100))),
        ("bytes=1-2,5-6", 200, bytes(range(100))),
        ("lines=1-2", 200, bytes(range(100))),
        ("bytes=-", 200, bytes(range(100))),
    ],
)
async def test_a_part_of_an_object_is_sent_where_it_is_asked_for(
    stored: Site, asked: str, status: int, content: bytes
) -> None:
    answer = await stored.client.get(f"/img/local-1/{NAME}", headers={"Range": asked})

    assert (answer.status_code, answer.content) == (status, content)


async def test_a_part_outside_the_object_is_refused_with_its_size(stored: Site) -> None:
    answer = await stored.client.get(f"/img/local-1/{NAME}", headers={"Range": "bytes=100-"})

    assert (answer.status_code, answer.headers["content-range"]) == (416, "bytes */100")


@pytest.mark.parametrize(
    "path",
    [
        "/img/local-1/2026/11/25/../../../../halftone.db",
        "/img/local-1/..%2f..%2fhalftone.db",
        "/img/../objects/local-1/" + NAME,
        "/img/local-1/" + NAME.replace(".webp", ".html"),
        "/img/local-1/" + NAME + "%00",
        "/img/local_1/" + NAME,
        "/img/other/" + NAME,
    ],
)
async def test_nothing_but_an_objects_name_leads_anywhere(stored: Site, path: str) -> None:
    url = httpx.URL(f"http://127.0.0.1:{stored.running.port}").copy_with(raw_path=path.encode())

    assert (await stored.client.get(url)).status_code == 404
