"""The api over HTTP: feeds, OPML, articles, images, objects, problems."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.api import opml
from shared.feeds import decode_config
from shared.memory import MemoryBus
from shared.messages import ImageJob, decode
from shared.topology import FEED_CONFIGS, TRANSCODER
from tests.api.builders import SITE, mirrored, polled
from tests.api.running import Site, eventually, next_due, running_api
from tests.api.stories import FEED_URL, ONE, THREE, TWO, told

NAME = "2026/11/25/0123456789abcdef0123456789abcdef.webp"


async def test_a_subscription_is_told_to_the_fetcher_and_polled_at_once(site: Site) -> None:
    feed = (await site.client.post("/api/feeds", json={"url": FEED_URL, "name": "Mine"})).json()
    entry = await site.bus.bucket(FEED_CONFIGS).get(str(feed["id"]))

    assert entry
    config = decode_config(entry.value)
    assert (config.url, config.subscribed, config.paused) == (FEED_URL, True, False)
    assert (await next_due(site.bus)).feed == feed["id"]
    assert feed["name"] == "Mine"


@pytest.mark.parametrize("path", ["/api/feeds", "/api/fetches"])
async def test_a_feed_at_a_private_address_is_refused_at_once(site: Site, path: str) -> None:
    answer = await site.client.post(path, json={"url": "http://10.1.2.3:8080/feed.xml"})
    listed = await site.client.get("/api/feeds")

    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert "allow it with --allow-host 10.1.2.3:8080 or HALFTONE_ALLOW_HOSTS" in answer.json()["detail"]
    assert listed.json()["feeds"] == []


async def test_a_feed_at_a_private_address_that_is_allowed_is_subscribed_to(
    memory_bus: MemoryBus, tmp_path: Path
) -> None:
    async with running_api(memory_bus, tmp_path, allow_hosts="10.1.2.3:8080") as site:
        answer = await site.client.post("/api/feeds", json={"url": "http://10.1.2.3:8080/feed.xml"})

    assert answer.status_code == 201


async def test_a_fetch_of_an_unknown_feed_does_not_subscribe_to_it(site: Site) -> None:
    await site.client.post("/api/fetches", json={"url": FEED_URL})
    (feed,) = (await site.client.get("/api/feeds")).json()["feeds"]

    assert feed["subscribed"] is False


async def test_spellings_of_one_url_are_one_feed(site: Site) -> None:
    spellings = (FEED_URL, FEED_URL.replace("site.example", "SITE.example:80"), FEED_URL + "#top")
    ids = {(await site.client.post("/api/feeds", json={"url": url})).json()["id"] for url in spellings}

    assert len(ids) == 1


async def test_a_feed_changes_and_a_paused_one_loses_its_schedule(site: Site) -> None:
    feed = (await site.client.post("/api/feeds", json={"url": FEED_URL})).json()["id"]
    change = {"paused": True, "interval_s": 3600, "headers": {"X-Key": "secret"}, "name": "Renamed"}
    changed = (await site.client.patch(f"/api/feeds/{feed}", json=change)).json()

    assert (changed["paused"], changed["interval_s"], changed["name"]) == (True, 3600, "Renamed")
    assert changed["header_names"] == ["X-Key"]
    assert await site.bus.scheduled() == set()
    entry = await site.bus.bucket(FEED_CONFIGS).get(str(feed))
    assert entry
    assert decode_config(entry.value).headers == {"X-Key": "secret"}


@pytest.mark.parametrize(
    "proxy",
    ["", "socks5://u:hush@proxy.example:1080", "u:hush@proxy.example", "http://u:hush@", "http://u:hush@p:99999"],
)
async def test_what_is_no_proxy_is_refused_and_its_password_not_repeated(site: Site, proxy: str) -> None:
    feed = (await site.client.post("/api/feeds", json={"url": FEED_URL})).json()["id"]
    answer = await site.client.patch(f"/api/feeds/{feed}", json={"proxy": proxy})

    assert (answer.status_code, "no address of a proxy" in answer.json()["detail"]) == (400, True)
    assert "hush" not in answer.text


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("http://u:hush@proxy.example:3128/", "http://u:***@proxy.example:3128/"),
        ("http://u:hu@sh:hu@proxy.example", "http://u:***@proxy.example"),
        ("http://:hush@proxy.example", "http://:***@proxy.example"),
        ("http://u@proxy.example:3128", "http://u@proxy.example:3128"),
        ("https://[2600::1]:3128", "https://[2600::1]:3128"),
    ],
)
async def test_a_proxy_is_shown_without_its_password(site: Site, proxy: str, shown: str) -> None:
    feed = (await site.client.post("/api/feeds", json={"url": FEED_URL})).json()["id"]
    changed = await site.client.patch(f"/api/feeds/{feed}", json={"proxy": proxy})
    listed = await site.client.get("/api/feeds")
    read = await site.client.get(f"/api/feeds/{feed}")

    assert (changed.json()["proxy"], listed.json()["feeds"][0]["proxy"], read.json()["proxy"]) == (shown,) * 3


async def test_a_proxy_as_it_is_shown_does_not_replace_the_password(site: Site) -> None:
    feed = (await site.client.post("/api/feeds", json={"url": FEED_URL})).json()["id"]
    answer = await site.client.patch(f"/api/feeds/{feed}", json={"proxy": "http://u:***@proxy.example/"})

    assert (answer.status_code, "give the password" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize("proxy", ["http://u:hush@proxy.example:3128", "https://proxy.example", None])
async def test_a_feed_takes_a_proxy_and_none(site: Site, proxy: str | None) -> None:
    feed = (await site.client.post("/api/feeds", json={"url": FEED_URL})).json()["id"]
    answer = await site.client.patch(f"/api/feeds/{feed}", json={"proxy": proxy})
    entry = await site.bus.bucket(FEED_CONFIGS).get(str(feed))

    assert answer.status_code == 200
    assert entry
    assert decode_config(entry.value).proxy == proxy


@pytest.mark.parametrize("agent", ["Mine/1.0 (+https://site.example/)", None])
async def test_a_feed_takes_a_user_agent_and_none(site: Site, agent: str | None) -> None:
    feed = (await site.client.post("/api/feeds", json={"url": FEED_URL})).json()["id"]
    changed = (await site.client.patch(f"/api/feeds/{feed}", json={"user_agent": agent})).json()

    assert changed["user_agent"] == agent


async def test_unsubscribing_keeps_the_feeds_articles(site: Site) -> None:
    feed, _ = await told(site)
    answer = await site.client.delete(f"/api/feeds/{feed}")

    assert answer.status_code == 204
    assert (await site.client.get(f"/api/feeds/{feed}")).json()["subscribed"] is False
    assert len((await site.client.get("/api/articles")).json()["articles"]) == 3


async def test_feeds_come_in_pages(site: Site) -> None:
    for number in range(5):
        await site.client.post("/api/feeds", json={"url": f"{SITE}/{number}.xml"})
    seen: list[int] = []
    after: int | None = 0
    while after is not None:
        page = (await site.client.get("/api/feeds", params={"limit": 2, "after": after})).json()
        seen += [feed["id"] for feed in page["feeds"]]
        after = page["next"]

    assert len(set(seen)) == 5


OPML = b"""<?xml version="1.0"?><opml version="2.0"><head><title>Mine</title></head><body>
<outline text="News"><outline text="Tech"><outline type="rss" text="One" xmlUrl="http://site.example/1.xml"/></outline>
<outline type="rss" text="Two" title="Zwei" xmlUrl="http://site.example/2.xml" htmlUrl="http://site.example/"/></outline>
<outline type="rss" text="Bad" xmlUrl="ftp://site.example/3.xml"/></body></opml>"""


async def test_an_import_keeps_folders_and_names_what_it_refuses(site: Site) -> None:
    answer = (await site.client.post("/api/feeds/import", content=OPML)).json()
    feeds = (await site.client.get("/api/feeds")).json()["feeds"]

    assert answer["subscribed"] == 2
    assert "ftp://" in answer["refused"][0]
    assert [(feed["folder"], feed["name"]) for feed in feeds] == [("News/Tech", "One"), ("News", "Zwei")]


async def test_what_is_exported_imports_the_same(site: Site, memory_bus: MemoryBus, tmp_path: Path) -> None:
    await site.client.post("/api/feeds/import", content=OPML)
    exported = await site.client.get("/api/feeds/export")
    async with running_api(memory_bus, tmp_path / "other") as other:
        await other.client.post("/api/feeds/import", content=exported.content)
        again = await other.client.get("/api/feeds/export")

    assert exported.headers["content-type"].startswith("text/x-opml")
    assert again.content == exported.content


def test_whatever_a_feed_is_called_the_export_imports() -> None:
    odd = opml.Subscription(url=f"{SITE}/\x01", title="a\x00\x1b\ufffe\ud800b", site="\x0bc", folder="d\x02e/\x03/f")
    (again,) = opml.parse(opml.render("Odd", [odd]))

    assert again == opml.Subscription(url=f"{SITE}/", title="ab", site="c", folder="de/f")


def test_folders_are_exported_no_deeper_than_they_are_imported() -> None:
    deep = opml.Subscription(url=FEED_URL, title="Deep", folder="/".join(["x"] * 3_000))
    (again,) = opml.parse(opml.render("Deep", [deep]))

    assert again.folder == "/".join(["x"] * 20)


def test_outlines_of_feeds_within_feeds_are_followed_as_deep_as_folders() -> None:
    nested = b'<outline xmlUrl="http://site.example/1.xml">' * 5_000 + b"</outline>" * 5_000

    assert len(opml.parse(b"<opml><body>" + nested + b"</body></opml>")) == 21


@pytest.mark.parametrize("data", [b"", b"<html/>", b"not xml", b"<opml/>", b'<!DOCTYPE a [<!ENTITY b "c">]><opml>&b;'])
async def test_what_is_no_opml_is_refused_with_advice(site: Site, data: bytes) -> None:
    answer = await site.client.post("/api/feeds/import", content=data)

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "no OPML" in answer.json()["detail"]


async def test_records_of_a_feed_are_listed(site: Site) -> None:
    feed, request_id = await told(site)
    (line,) = (await site.client.get(f"/api/feeds/{feed}/records")).json()["records"]

    assert (line["request_id"], line["ok"], line["articles"], line["mirrored"], line["failed"]) == (
        request_id,
        True,
        3,
        3,
        1,
    )


async def test_a_failed_poll_is_listed_with_its_reason(site: Site) -> None:
    request_id = (await site.client.post("/api/fetches", json={"url": FEED_URL})).json()["requestId"]
    await site.say(polled(request_id, asked=True, ok=False, error="no such host: <site>"))
    await site.record(request_id)
    (line,) = (await site.client.get("/api/feeds/1/records")).json()["records"]

    assert (line["ok"], line["error"]) == (False, "no such host: <site>")
    for path in ("/", "/feed/1"):
        history = (await site.client.get(path)).text.partition('<ul class="rows"')[2]
        assert "the poll failed: no such host: &lt;site&gt;" in history


async def test_articles_are_found_by_their_words(site: Site) -> None:
    await told(site)

    async def titles(query: str) -> list[str]:
        answer = await site.client.get("/api/articles", params={"q": query})
        assert answer.status_code == 200, answer.text
        return [each["title"] for each in answer.json()["articles"]]

    assert await titles("nothing überraschung") == [THREE.title]
    assert await titles("Ann") == [TWO.title]
    assert await titles("absent") == []
    assert await titles('" OR * NEAR( --') == []


async def test_articles_are_listed_newest_first_in_pages(site: Site) -> None:
    await told(site)
    first = (await site.client.get("/api/articles", params={"limit": 2})).json()
    second = (await site.client.get("/api/articles", params={"limit": 3, "after": first["next"]})).json()

    listed = first["articles"] + second["articles"]
    ages = [(each["published_ms"], each["id"]) for each in listed]
    assert {each["link_md5"] for each in listed} == {it.link_md5 for it in (ONE, TWO, THREE)}
    assert ages == sorted(ages, reverse=True)
    assert listed[-1]["published_ms"] == TWO.published_ms
    assert second["next"] is None


async def test_an_article_is_read_with_its_images_from_the_cdn(site: Site) -> None:
    await told(site)
    read = (await site.client.get(f"/api/articles/{ONE.link_md5}")).json()

    assert f'src="{SITE}/a.gif"' in read["body"]
    assert f'src="{mirrored("a.gif").url}"' in read["mirrored_body"]
    assert f'src="{SITE}/dead.png"' in read["mirrored_body"]
    assert list(read["images"]) == [f"{SITE}/a.gif", f"{SITE}/b.png"]


async def test_an_image_is_found_by_its_source(site: Site) -> None:
    await told(site)
    good = (await site.client.get("/api/images", params={"source": f"{SITE}/a.gif"})).json()
    bad = (await site.client.get("/api/images", params={"source": f"{SITE}/dead.png"})).json()

    assert (good["state"], good["url"]) == ("mirrored", mirrored("a.gif").url)
    assert (bad["state"], bad["result"]["reason"]) == ("failed", "every attempt was answered with an error")


async def next_job(site: Site) -> ImageJob:
    mailbox = site.bus.mailbox(TRANSCODER)
    delivery = await asyncio.wait_for(mailbox.receive(), 5)
    await mailbox.close()
    assert delivery
    await delivery.ack()
    message = decode(delivery.data)
    assert isinstance(message, ImageJob)
    return message


@pytest.mark.parametrize("scope", ["requestId", "feed", "host", "image"])
async def test_failed_images_are_retried_and_an_updated_record_follows(site: Site, scope: str) -> None:
    feed, request_id = await told(site)
    values: dict[str, Any] = {"requestId": request_id, "feed": feed, "host": "site.example"}
    job_image = (await site.client.get("/api/images", params={"source": f"{SITE}/dead.png"})).json()["image"]
    answer = await site.client.post("/api/images/retry", json={scope: (values | {"image": job_image})[scope]})
    assert answer.status_code == 202, answer.text
    job = await next_job(site)
    await site.say(mirrored("dead.png", size=5, job=77))
    record = await eventually(lambda: site.record(request_id), lambda record: record["extra6"] == 4)

    assert (answer.status_code, answer.json()) == (202, {"images": 1, "more": False})
    assert (job.source, job.referer, job.feed, job.again) == (f"{SITE}/dead.png", ONE.link, feed, True)
    assert record["extra7ImgCdnFailResultVector"] == []


async def test_a_retry_of_everything_is_refused(site: Site) -> None:
    answer = await site.client.post("/api/images/retry", json={})

    assert (answer.status_code, "requestId, feed, host or image" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "hint"),
    [
        ("POST", "/api/fetches", b'{"url": "nonsense"}', 400, "give the feed's whole address"),
        ("POST", "/api/fetches", b'{"url": 1}', 400, "openapi.json"),
        ("POST", "/api/fetches", b"{", 400, ""),
        ("POST", "/api/fetches", b"[" * 30_000, 400, "nested"),
        ("POST", "/api/feeds", b'{"url": ' + b'{"a":' * 9_000 + b"1" + b"}" * 9_001, 400, "nested"),
        ("POST", "/api/fetches", b'{"url": "\xff"}', 400, "UTF-8"),
        ("POST", "/api/fetches", b'{"url": "http://a.example/", "wait": 1e9}', 400, "openapi.json"),
        ("GET", "/api/records/none", b"", 404, "POST /api/fetches"),
        ("GET", "/api/feeds/99", b"", 404, "GET /api/feeds"),
        ("GET", "/api/feeds/99999999999999999999", b"", 400, "openapi.json"),
        ("GET", "/api/articles/none", b"", 404, "MD5"),
        ("GET", "/api/images?source=nope", b"", 400, "whole address"),
        ("GET", "/api/articles?limit=0", b"", 400, "openapi.json"),
        ("GET", "/nowhere", b"", 404, ""),
        ("PATCH", "/api/feeds/1", b'{"headers": {"Host": "x"}}', 400, "no header"),
        ("PATCH", "/api/feeds/1", b'{"headers": {"X-Key": "a\\tb"}}', 400, "no header"),
        ("PATCH", "/api/feeds/1", b'{"headers": {"X-Key": "a\\r\\nHost: b"}}', 400, "no header"),
        ("PATCH", "/api/feeds/1", b'{"user_agent": "a\\r\\nHost: b"}', 400, "'user_agent' has a character"),
        ("PATCH", "/api/feeds/1", b'{"user_agent": "a\\u007fb"}', 400, "'user_agent' has a character"),
        ("PATCH", "/api/feeds/1", b'{"name": "a\\u0001b"}', 400, "'name' has a control character"),
        ("POST", "/api/feeds", b'{"url": "http://a.example/", "folder": "a\\nb"}', 400, "'folder' has a control"),
        ("POST", "/api/feeds", b'{"url": "' + b"h" * 80_000 + b'"}', 413, ""),
    ],
)
async def test_bad_input_is_answered_by_a_problem_that_says_what_to_do(  # noqa: PLR0917 - one for each column
    site: Site, method: str, path: str, body: bytes, status: int, hint: str
) -> None:
    answer = await site.client.request(method, path, content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert hint in answer.json()["detail"]
    assert "Traceback" not in answer.text


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
