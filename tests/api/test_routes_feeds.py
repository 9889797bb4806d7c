"""Subscriptions over HTTP: added, changed, listed, imported and exported as OPML."""

from pathlib import Path
from urllib.parse import urlsplit

import pytest

from services.api import opml
from shared.errors import Reject
from shared.feeds import decode_config
from shared.memory import MemoryBus
from shared.messages import FeedFacts
from shared.topology import FEED_CONFIGS
from tests.api.builders import SITE, polled
from tests.api.running import Site, next_due, running_api
from tests.api.stories import FEED_URL, told


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


async def test_a_feed_is_polled_by_its_id_with_the_user_that_only_we_know(site: Site) -> None:
    feed = (await site.client.post("/api/feeds", json={"url": "http://a:b@site.example/feed.xml"})).json()
    await next_due(site.bus)
    await site.client.post("/api/fetches", json={"feed": feed["id"]})
    codes = [
        (await site.client.post("/api/fetches", json=which)).status_code
        for which in ({"feed": 99}, {}, {"feed": feed["id"], "url": FEED_URL})
    ]

    assert len((await site.client.get("/api/feeds")).json()["feeds"]) == 1
    assert codes == [404, 400, 400]


@pytest.mark.parametrize("path", ["/api/feeds", "/api/fetches", "/api/images/retry", "/api/tokens"])
async def test_a_field_that_nothing_reads_is_refused_by_its_name(site: Site, path: str) -> None:
    answer = await site.client.post(path, json={"headers": {"X-Key": "secret"}})

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "headers" in answer.text


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
    [
        "",
        "socks5://u:hush@proxy.example:1080",
        "u:hush@proxy.example",
        "http://u:hush@",
        "http://u:hush@p:99999",
        "http://p/?u:hush@x",
    ],
)
async def test_what_is_no_proxy_is_refused_and_its_password_not_repeated(site: Site, proxy: str) -> None:
    feed = (await site.client.post("/api/feeds", json={"url": FEED_URL})).json()["id"]
    answer = await site.client.patch(f"/api/feeds/{feed}", json={"proxy": proxy})

    assert (answer.status_code, "no address of a proxy" in answer.json()["detail"]) == (400, True)
    assert "hush" not in answer.text


@pytest.mark.parametrize(
    ("proxy", "shown"),
    [
        ("http://u:hush@proxy.example:3128/", "http://***@proxy.example:3128/"),
        ("http://u:hu@sh:hu@proxy.example", "http://***@proxy.example"),
        ("http://:hush@proxy.example", "http://***@proxy.example"),
        ("http://u%3Ahush@proxy.example:3128", "http://***@proxy.example:3128"),
        ("http://token@proxy.example:3128", "http://***@proxy.example:3128"),
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
    answer = await site.client.patch(f"/api/feeds/{feed}", json={"proxy": "http://***@proxy.example/"})

    assert (answer.status_code, "give them or leave" in answer.json()["detail"]) == (400, True)


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


async def test_a_feeds_password_is_shown_to_nobody_but_who_exports_it(site: Site) -> None:
    feed = (await site.client.post("/api/feeds", json={"url": "http://u:hush@site.example/feed.xml"})).json()
    request_id = (await site.client.post("/api/fetches", json={"url": "http://u:hush@site.example/feed.xml"})).json()
    await site.say(polled(request_id["requestId"], asked=True, facts=FeedFacts()))  # nothing to show but its URL
    record = await site.record(request_id["requestId"])
    mirrored: dict[str, str] = feed["mirrored"]
    paths = ["/api/feeds", *(urlsplit(url).path for url in mirrored.values())]
    shown = [(await site.client.get(path)).text for path in paths]

    assert all("hush" not in text and "site.example" in text for text in (feed["url"], record["feed"]["url"], *shown))
    assert "u:hush@" in (await site.client.get("/api/feeds/export")).text


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


@pytest.mark.parametrize("change", [{"paused": True}, {"subscribed": False}])
async def test_a_feed_that_is_polled_no_more_has_no_next_poll(site: Site, change: dict[str, bool]) -> None:
    number = (await site.client.post("/api/feeds", json={"url": FEED_URL})).json()["id"]
    request_id = f"{0:032x}_{number}"
    await site.say(polled(request_id, feed=number, next_ms=2_000_000_000_000))
    await site.record(request_id)
    before = (await site.client.get(f"/api/feeds/{number}")).json()["next_ms"]
    await site.client.patch(f"/api/feeds/{number}", json=change)

    assert before == 2_000_000_000_000
    assert (await site.client.get(f"/api/feeds/{number}")).json()["next_ms"] is None


async def test_an_import_renames_and_moves_no_feed_that_has_a_name_and_a_folder(site: Site) -> None:
    await site.client.post("/api/feeds", json={"url": "http://site.example/1.xml", "name": "Mine", "folder": "Own"})
    await site.client.post("/api/feeds", json={"url": "http://site.example/2.xml", "name": "Mine, too"})
    await site.client.post("/api/feeds/import", content=OPML)
    feeds = (await site.client.get("/api/feeds")).json()["feeds"]

    assert [(feed["folder"], feed["name"]) for feed in feeds] == [("Own", "Mine"), ("News", "Mine, too")]


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


@pytest.mark.parametrize("encoding", ["gb2312", "GBK", "big5", "shift_jis", "euc-kr", "utf-16", "latin-1", "utf-8"])
def test_an_opml_file_may_be_in_any_encoding(encoding: str) -> None:
    title = "\u65b0" if encoding != "latin-1" else "\u00fc"
    outline = f'<outline text="{title}" xmlUrl="{FEED_URL}"/>'
    text = f'<?xml version="1.0" encoding="{encoding}"?><opml><body>{outline}</body></opml>'

    assert [each.title for each in opml.parse(text.encode(encoding))] == [title]


@pytest.mark.parametrize("encoding", ["rot13", "hex_codec", "utf-7", "no-such"])
def test_an_opml_file_in_no_encoding_is_refused(encoding: str) -> None:
    with pytest.raises(Reject, match="no OPML file"):
        opml.parse(f'<?xml version="1.0" encoding="{encoding}"?><opml><body>+</body></opml>'.encode())


def test_names_and_folders_are_as_long_as_they_may_be_elsewhere() -> None:
    long = "a" * 250_000
    text = (
        f'<outline text="{long}"><outline text="b"><outline text="{long}\x9b" xmlUrl="{FEED_URL}"/></outline></outline>'
    )
    (found,) = opml.parse(f"<opml><body>{text}</body></opml>".encode())

    assert (len(found.title), len(found.folder)) == (1_000, 1_000)


def test_outlines_of_feeds_within_feeds_are_followed_as_deep_as_folders() -> None:
    nested = b'<outline xmlUrl="http://site.example/1.xml">' * 5_000 + b"</outline>" * 5_000

    assert len(opml.parse(b"<opml><body>" + nested + b"</body></opml>")) == 21


@pytest.mark.parametrize("data", [b"", b"<html/>", b"not xml", b"<opml/>", b'<!DOCTYPE a [<!ENTITY b "c">]><opml>&b;'])
async def test_what_is_no_opml_is_refused_with_advice(site: Site, data: bytes) -> None:
    answer = await site.client.post("/api/feeds/import", content=data)

    assert (answer.status_code, answer.headers["content-type"]) == (400, "application/problem+json")
    assert "no OPML" in answer.json()["detail"]
