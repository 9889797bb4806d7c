"""Who is let in: everybody on this machine, or bearers of tokens, each for what its scope holds."""

import asyncio
import socket
from pathlib import Path

import pytest

from services.api.app import start
from services.api.database import Database
from services.api.doorkeeper import Doorkeeper
from services.api.settings import ApiSettings
from services.api.tokens import check_token, list_tokens, new_token, revoke_token
from shared.errors import Misconfigured, Reject
from shared.memory import MemoryBus
from tests.api.builders import SITE
from tests.api.running import Site, running_api
from tests.api.stories import told

REMEMBERED_SECONDS = 0.1


@pytest.fixture(autouse=True)
def short_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have tests not wait for what is remembered of tokens."""
    monkeypatch.setattr("services.api.doorkeeper.REMEMBERED_SECONDS", REMEMBERED_SECONDS)


def bearing(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_a_token_is_known_until_it_is_revoked_and_its_secret_is_not_kept(database: Database) -> None:
    token = await new_token(database, "reader", "read")
    (kept,) = await list_tokens(database)
    known = await check_token(database, token)

    assert known
    assert (known.id, known.scope, kept.name) == (kept.id, "read", "reader")
    assert await revoke_token(database, kept.id)
    assert not await revoke_token(database, kept.id)
    assert await check_token(database, token) is None


@pytest.mark.parametrize("forged", ["", "ht_1_", "ht_2_{secret}", "ht_1_{secret}A", "ht_1_{other}"])
async def test_a_forged_token_is_none(database: Database, forged: str) -> None:
    secret = (await new_token(database, "reader", "read")).removeprefix("ht_1_")
    other = secret[:-1] + ("A" if secret[-1] != "A" else "B")

    assert await check_token(database, forged.format(secret=secret, other=other)) is None


async def test_an_unknown_scope_is_refused(database: Database) -> None:
    with pytest.raises(Reject, match="read, write, admin"):
        await new_token(database, "reader", "root")


@pytest.mark.parametrize(
    ("scope", "method", "path", "status"),
    [
        ("read", "GET", "/api/feeds", 200),
        ("read", "POST", "/api/feeds", 403),
        ("read", "GET", "/mirror?url=http://site.example/", 403),
        ("read", "GET", "/api/tokens", 403),
        ("write", "POST", "/api/feeds", 201),
        ("write", "GET", "/api/tokens", 403),
        ("admin", "GET", "/api/tokens", 200),
        ("admin", "POST", "/api/feeds", 201),
        (None, "GET", "/api/feeds", 401),
        (None, "GET", "/mirrored.opml", 401),
        (None, "GET", "/openapi.json", 200),
    ],
)
async def test_a_scope_holds_those_before_it(  # noqa: PLR0917 - one for each column
    memory_bus: MemoryBus, tmp_path: Path, scope: str | None, method: str, path: str, status: int
) -> None:
    async with running_api(memory_bus, tmp_path) as site:
        token = await new_token(site.running.api.database, "any", "read")
        if scope:
            token = await new_token(site.running.api.database, "mine", scope)
        headers = bearing(token) if scope else {}
        body = {"url": f"{SITE}/feed.xml"} if method == "POST" else None
        answer = await site.client.request(method, path, headers=headers, json=body)

    assert answer.status_code == status, answer.text


async def test_mirrored_feeds_need_no_login_by_their_token_only(site: Site) -> None:
    number, _ = await told(site)
    address = (await site.client.get(f"/api/feeds/{number}")).json()["mirrored"]["rss"]
    token = await new_token(site.running.api.database, "any", "read")
    await asyncio.sleep(REMEMBERED_SECONDS + 0.1)

    path = address.removeprefix(site.running.api.settings.url)
    assert (await site.client.get(path)).status_code == 200
    assert (await site.client.get(f"/feeds/{number}.rss")).status_code == 404
    assert (await site.client.get(f"/feeds/{number}.rss", headers=bearing(token))).status_code == 200


@pytest.mark.parametrize("host", ["evil.example", "[", "[::1", "[x]"])
async def test_without_tokens_a_page_that_rebinds_its_name_gets_nothing(site: Site, host: str) -> None:
    answer = await site.client.get("/api/feeds", headers={"Host": host})

    assert (answer.status_code, "halftone tokens new" in answer.json()["detail"]) == (421, True)


async def test_another_site_cannot_post(site: Site) -> None:
    headers = {"Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"}
    answer = await site.client.post("/api/feeds", content=b'{"url":"http://a.example/"}', headers=headers)

    assert answer.status_code == 403


@pytest.mark.parametrize("origin", ["http://evil.example", "http://127.0.0.1:1", "null"])
async def test_another_origin_cannot_post_where_browsers_send_only_that(site: Site, origin: str) -> None:
    headers = {"Origin": origin, "Content-Type": "text/plain"}
    answer = await site.client.post("/api/feeds", content=b'{"url":"http://a.example/"}', headers=headers)
    own = {"Origin": str(site.client.base_url).rstrip("/"), "Content-Type": "application/json"}
    ours = await site.client.post("/api/feeds", content=b'{"url":"http://a.example/"}', headers=own)

    assert (answer.status_code, ours.status_code) == (403, 201)


async def test_a_feed_is_known_by_its_number_to_those_only_who_are_let_in(
    memory_bus: MemoryBus, tmp_path: Path
) -> None:
    async with running_api(memory_bus, tmp_path, requests_per_minute=30) as site:
        number, _ = await told(site)
        rebound = await site.client.get(f"/feeds/{number}.json", headers={"Host": "evil.example"})
        token = await new_token(site.running.api.database, "any", "read")
        await asyncio.sleep(REMEMBERED_SECONDS + 0.1)
        path, headers = f"/feeds/{number}.json", bearing(token)
        codes = [(await site.client.get(path, headers=headers)).status_code for _ in range(6)]

    assert rebound.status_code == 421
    assert codes == [200] * 5 + [429]


async def test_a_revoked_token_follows_no_events_any_longer(site: Site) -> None:
    token = await new_token(site.running.api.database, "any", "read")
    await asyncio.sleep(REMEMBERED_SECONDS + 0.1)
    async with site.client.stream("GET", "/api/events", headers=bearing(token), timeout=10) as following:
        lines = following.aiter_lines()
        assert await anext(lines)
        await revoke_token(site.running.api.database, 1)
        async with asyncio.timeout(REMEMBERED_SECONDS + 3):
            assert [line async for line in lines if line.startswith("data")] == []


async def test_a_body_that_never_comes_is_not_waited_for(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.api.requests.BODY_SECONDS", 0.2)
    reader, writer = await asyncio.open_connection("127.0.0.1", site.running.port)
    writer.write(b"POST /login HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n")
    writer.write(b"Content-Type: application/x-www-form-urlencoded\r\n\r\nt")
    answer = await asyncio.wait_for(reader.read(), 5)
    writer.close()

    assert answer.startswith(b"HTTP/1.1 408 ")


async def test_without_tokens_it_listens_to_this_machine_only(memory_bus: MemoryBus, tmp_path: Path) -> None:
    said = r"0\.0\.0\.0 \(--host, HALFTONE_HTTP_HOST\).+`halftone tokens new`"
    with pytest.raises(Misconfigured, match=said):
        await start(memory_bus, ApiSettings(data=tmp_path, http_host="0.0.0.0", http_port=0))


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", f"http://{socket.gethostname()}:81"),
        ("::", f"http://{socket.gethostname()}:81"),
        ("::1", "http://[::1]:81"),
        ("127.0.0.1", "http://127.0.0.1:81"),
    ],
)
def test_where_it_is_reached_is_an_address_that_can_be_reached(host: str, url: str) -> None:
    assert ApiSettings(http_host=host, http_port=81).url == url


async def test_the_end_of_the_last_token_lets_nobody_in(database: Database, tmp_path: Path) -> None:
    for ever, host, closed in ((False, "0.0.0.0", True), (False, "127.0.0.1", False), (True, "127.0.0.1", True)):
        if ever:
            await new_token(database, "last", "admin")
            await revoke_token(database, 1)
        keeper = Doorkeeper(database, ApiSettings(data=tmp_path, http_host=host))
        assert await keeper.is_closed() is closed


async def test_a_token_that_asks_too_often_has_to_wait(memory_bus: MemoryBus, tmp_path: Path) -> None:
    async with running_api(memory_bus, tmp_path, requests_per_minute=30) as site:
        token = await new_token(site.running.api.database, "any", "read")
        codes = [(await site.client.get("/api/feeds", headers=bearing(token))).status_code for _ in range(8)]

    assert codes == [200] * 5 + [429] * 3


async def test_a_port_in_use_is_said_in_one_line(memory_bus: MemoryBus, tmp_path: Path) -> None:
    async with running_api(memory_bus, tmp_path) as site:
        with pytest.raises(Misconfigured, match="another program listens there; set HALFTONE_HTTP_HOST"):
            await start(memory_bus, ApiSettings(data=tmp_path / "other", http_port=site.running.port))


async def test_an_unusable_database_is_said_in_one_line(memory_bus: MemoryBus, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("not a directory")
    with pytest.raises(Misconfigured, match="HALFTONE_DATA"):
        await start(memory_bus, ApiSettings(data=tmp_path / "file", http_port=0))


async def test_no_database_server_is_said_in_one_line(memory_bus: MemoryBus, tmp_path: Path) -> None:
    url = "postgresql+asyncpg://nobody:secret@127.0.0.1:1/none"
    with pytest.raises(Misconfigured, match="HALFTONE_DATABASE_URL") as refused:
        await start(memory_bus, ApiSettings(data=tmp_path, database_url=url, http_port=0))

    assert "secret" not in str(refused.value)
