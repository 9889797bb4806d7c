"""Mirrored feeds: the source's entries with images from the CDN, in three formats that readers take."""

from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import feedparser  # pyright: ignore[reportMissingTypeStubs] - it has none
import msgspec
import pytest
from reader import Reader, make_reader

from services.api.mirrored import Entry, Feed, render
from shared.messages import Enclosure
from tests.api.builders import SITE, STARTED, article, found, mirrored, polled, wanted
from tests.api.running import Site
from tests.api.stories import ONE, THREE, TWO, told

FORMS = ("atom", "rss", "json")


def parse(data: bytes) -> Any:
    return feedparser.parse(data)  # pyright: ignore[reportUnknownVariableType] - it has no types


def feed(*entries: Entry) -> Feed:
    return Feed(
        title="A <feed> & more",
        description="About",
        link=SITE,
        source=f"{SITE}/feed.xml",
        self_url="http://127.0.0.1:8080/feeds/t.atom",
        icon=None,
        updated_ms=STARTED,
        entries=entries,
    )


def entry(name: str, **fields: Any) -> Entry:
    it = article(name, wanted("a.gif"), **fields)
    urls = {f"{SITE}/a.gif": "http://cdn.example/a.webp"}
    return Entry(article=it, urls=urls, created_ms=STARTED, updated_ms=STARTED)


HOSTILE = entry(
    "hostile",
    title="]]> <b>&amp;\x00\x0b\ud83d".encode("utf-16", "surrogatepass").decode("utf-16", "replace"),
    author='"><script>',
    guid="not an iri",
    body="<p>]]></p>\x01",
)


@pytest.mark.parametrize("form", ["atom", "rss"])
def test_whatever_an_article_holds_the_xml_is_well_formed(form: str) -> None:
    ET.fromstring(render(feed(HOSTILE), form))  # noqa: S314 - our own output


@pytest.mark.parametrize("form", ["atom", "rss"])
def test_readers_parse_it_without_complaint(form: str) -> None:
    parsed: Any = parse(render(feed(HOSTILE, entry("one")), form))

    assert not parsed.bozo
    assert len(parsed.entries) == 2


def test_an_article_that_never_changed_was_updated_when_it_was_published() -> None:
    parsed: Any = parse(render(feed(entry("one", published_ms=STARTED - 86_400_000)), "atom"))

    assert parsed.entries[0].updated == parsed.entries[0].published == "2020-09-05T22:08:44Z"


def test_json_feed_has_what_the_standard_requires() -> None:
    made = msgspec.json.decode(render(feed(entry("one", author="Ann", published_ms=STARTED)), "json"))

    assert made["version"] == "https://jsonfeed.org/version/1.1"
    (item,) = made["items"]
    assert item["date_published"] == "2020-09-06T22:08:44Z"
    assert item["authors"] == [{"name": "Ann"}]
    assert "http://cdn.example/a.webp" in item["content_html"]


def test_atom_ids_are_iris() -> None:
    root = ET.fromstring(render(feed(HOSTILE, entry("one", guid="tag:a,2020:1")), "atom"))  # noqa: S314 - our own output
    ids = [node.text for node in root.iter("{http://www.w3.org/2005/Atom}id")]

    assert ids == [f"{SITE}/feed.xml", f"urn:md5:{HOSTILE.article.link_md5}", "tag:a,2020:1"]


@pytest.mark.parametrize("form", FORMS)
async def test_a_mirrored_feed_has_the_sources_entries_with_images_from_the_cdn(site: Site, form: str) -> None:
    number, _ = await told(site)
    address = (await site.client.get(f"/api/feeds/{number}")).json()["mirrored"][form]
    answer = await site.client.get(address.removeprefix(site.running.api.settings.url))

    assert answer.status_code == 200
    if form == "json":
        items = answer.json()["items"]
        assert {item["id"] for item in items} == {"guid-1", TWO.link, THREE.link}
    else:
        parsed: Any = parse(answer.content)
        assert not parsed.bozo
        entries: list[Any] = parsed.entries
        assert {each.link for each in entries} == {ONE.link, TWO.link, THREE.link}
        assert {each.title for each in entries} == {ONE.title, TWO.title, THREE.title}
        two = next(each for each in entries if each.link == TWO.link)
        assert two.published_parsed[:5] == (2020, 9, 1, 22, 40)
        assert two.author == "Ann"
    assert mirrored("a.gif").url in answer.text
    assert f'src=\\"{SITE}/a.gif' not in answer.text


EPISODE = Enclosure(url=f"{SITE}/episode 1.mp3?a=1&b=2", type="audio/mpeg", length=123_456)
UNTYPED = Enclosure(url=f"{SITE}/notes.pdf?v=1")
PICTURE = Enclosure(url=f"{SITE}/a.gif", type="image/gif", length=99)
CARRIED = {
    EPISODE.url: ("audio/mpeg", 123_456),
    UNTYPED.url: ("application/pdf", 0),
    "http://cdn.example/a.webp": ("image/webp", 0),
}


@pytest.mark.parametrize("form", ["atom", "rss"])
def test_enclosures_go_along_and_images_among_them_come_from_the_cdn(form: str) -> None:
    parsed: Any = parse(render(feed(entry("one", enclosures=(EPISODE, UNTYPED, PICTURE))), form))
    carried: list[Any] = parsed.entries[0].enclosures

    assert not parsed.bozo
    assert {it.href: (it.type, int(it.get("length", 0))) for it in carried} == CARRIED


def test_json_feed_has_enclosures_as_attachments() -> None:
    (item,) = msgspec.json.decode(render(feed(entry("one", enclosures=(EPISODE, UNTYPED, PICTURE))), "json"))["items"]
    attachments: list[dict[str, Any]] = item["attachments"]

    assert {it["url"]: (it["mime_type"], it.get("size_in_bytes", 0)) for it in attachments} == CARRIED


async def test_a_podcasts_audio_is_in_its_mirrored_feed(site: Site) -> None:
    number, _ = await told(site)
    episode = article("episode", enclosures=(EPISODE,))
    await site.say(found("e_1", episode, feed=number), polled("e_1", episode, feed=number))
    await site.record("e_1")
    answer = await site.client.get(f"/feeds/{number}.json")

    (attachments,) = (item["attachments"] for item in answer.json()["items"] if item["url"] == episode.link)
    assert [it["url"] for it in attachments] == [EPISODE.url]


async def test_an_unchanged_mirrored_feed_is_not_sent_again(site: Site) -> None:
    number, _ = await told(site)
    first = await site.client.get(f"/feeds/{number}.atom")
    by_tag = await site.client.get(f"/feeds/{number}.atom", headers={"If-None-Match": first.headers["etag"]})
    by_date = await site.client.get(
        f"/feeds/{number}.atom", headers={"If-Modified-Since": first.headers["last-modified"]}
    )

    assert (by_tag.status_code, by_date.status_code) == (304, 304)
    assert "max-age" in first.headers["cache-control"]


@pytest.mark.parametrize("date", ["yesterday", "Mon, 01 Jan 2020 00:00:00 +9999999999999"])
async def test_a_date_that_is_none_makes_no_condition(site: Site, date: str) -> None:
    number, _ = await told(site)
    answer = await site.client.get(f"/feeds/{number}.atom", headers={"If-Modified-Since": date})

    assert answer.status_code == 200


async def test_mirror_subscribes_and_leads_to_the_mirrored_feed(site: Site) -> None:
    answer = await site.client.get("/mirror", params={"url": f"{SITE}/feed.xml"})
    (subscribed,) = (await site.client.get("/api/feeds")).json()["feeds"]

    assert (answer.status_code, answer.headers["location"]) == (303, subscribed["mirrored"]["atom"])
    assert subscribed["subscribed"] is True


async def test_another_site_cannot_have_us_subscribe(site: Site) -> None:
    headers = {"Sec-Fetch-Site": "cross-site"}
    answer = await site.client.get("/mirror", params={"url": f"{SITE}/feed.xml"}, headers=headers)

    assert answer.status_code == 403
    assert (await site.client.get("/api/feeds")).json()["feeds"] == []


async def test_all_mirrored_feeds_import_at_once(site: Site) -> None:
    await told(site)
    answer = await site.client.get("/mirrored.opml")
    (subscribed,) = (await site.client.get("/api/feeds")).json()["feeds"]

    assert subscribed["mirrored"]["atom"] in answer.text
    assert 'text="Tech"' in answer.text


async def test_a_mirrored_feed_that_never_worked_has_its_sources_name_there(site: Site) -> None:
    await site.client.post("/api/feeds", json={"url": "http://a:b@site.example/gone.xml"})
    answer = await site.client.get("/mirrored.opml")

    assert 'title="http://site.example/gone.xml"' in answer.text


async def test_a_real_reader_reads_it(site: Site, tmp_path: Path) -> None:
    number, _ = await told(site)
    answer = await site.client.get(f"/feeds/{number}.atom")
    (tmp_path / "mirrored.atom").write_bytes(answer.content)
    reader: Reader = make_reader(":memory:", feed_root=str(tmp_path))
    reader.add_feed("mirrored.atom")
    reader.update_feeds()
    contents = {each.link: each.get_content() for each in reader.get_entries()}
    reader.close()

    assert set(contents) == {ONE.link, TWO.link, THREE.link}
    one = contents[ONE.link]
    assert one
    assert mirrored("a.gif").url in one.value


async def test_a_reader_may_look_at_the_head_alone(site: Site) -> None:
    feed, _ = await told(site)
    whole, head = [await site.client.request(method, f"/feeds/{feed}.atom") for method in ("GET", "HEAD")]

    assert (head.status_code, head.content) == (200, b"")
    assert [head.headers[name] for name in ("etag", "content-length", "content-type")] == [
        whole.headers[name] for name in ("etag", "content-length", "content-type")
    ]
