"""Asking a feed's server: what is sent, and what its answer means."""

import asyncio
import time
from collections.abc import AsyncIterator

import pytest

from services.fetcher.poll import ACCEPT, REDIRECT_HELD_MS, PollError, poll, request_headers
from services.fetcher.settings import FetcherSettings
from services.fetcher.state import FeedState, Redirect, Validators
from shared.feeds import FeedConfig
from shared.web import Web
from tests.servers import Site, running_site

SETTINGS = FetcherSettings(feed_max_bytes=10_000, feed_seconds=1)


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as running:
        yield running


@pytest.fixture
async def web(site: Site) -> AsyncIterator[Web]:
    async with Web(frozenset({site.origin})) as client:
        yield client


def config(site: Site, **more: object) -> FeedConfig:
    return FeedConfig(feed=7, url=site.url("/feed"), **more)  # type: ignore[arg-type]


async def test_a_changed_feed_comes_with_its_validators(web: Web, site: Site) -> None:
    site.page("/feed", b"<rss/>", ETag='"1"', Last_Modified="Mon, 27 Jul 2020 00:00:00 GMT", Content_Type="text/xml")
    polled = await poll(web, SETTINGS, config(site), FeedState())
    assert (polled.body, polled.unchanged, polled.url, polled.home) == (b"<rss/>", False, site.url("/feed"), polled.url)
    assert polled.answer.validators == Validators('"1"', "Mon, 27 Jul 2020 00:00:00 GMT")
    assert (polled.content_type, polled.moved_to) == ("text/xml", None)


async def test_the_first_request_asks_for_a_feed_without_conditions(web: Web, site: Site) -> None:
    site.page("/feed", b"<rss/>")
    await poll(web, SETTINGS, config(site), FeedState())
    headers = site.requests[0].headers
    assert (headers["accept"], headers["a-im"]) == (ACCEPT, "feed")
    assert headers["user-agent"].startswith("Halftone/")
    assert not {"if-none-match", "if-modified-since"} & set(headers)


async def test_later_ones_send_the_validators_as_they_came(web: Web, site: Site) -> None:
    site.page("/feed", status="304 Not Modified", ETag='W/"1"')
    state = FeedState(validators=Validators('W/"1"', "some day"), body_hash="h")
    polled = await poll(web, SETTINGS, config(site), state)
    headers = site.requests[0].headers
    assert (headers["if-none-match"], headers["if-modified-since"]) == ('W/"1"', "some day")
    assert (polled.unchanged, polled.body, polled.answer.status) == (True, b"", 304)


async def test_the_same_bytes_again_are_unchanged_whatever_the_status_says(web: Web, site: Site) -> None:
    site.page("/feed", b"<rss/>")
    first = await poll(web, SETTINGS, config(site), FeedState())
    second = await poll(web, SETTINGS, config(site), FeedState(body_hash=first.body_hash))
    assert (second.unchanged, second.body, second.answer.status) == (True, b"", 200)


async def test_a_feed_of_only_what_is_new_is_taken(web: Web, site: Site) -> None:
    site.page("/feed", b"<rss/>", status="226 IM Used")
    assert (await poll(web, SETTINGS, config(site), FeedState())).body == b"<rss/>"


async def test_the_subscribers_own_headers_and_agent_are_sent(web: Web, site: Site) -> None:
    site.page("/feed", b"<rss/>")
    wanted = config(site, user_agent="Reader/1", headers={"Authorization": "Bearer x"})
    await poll(web, SETTINGS, wanted, FeedState())
    headers = site.requests[0].headers
    assert (headers["user-agent"], headers["authorization"]) == ("Reader/1", "Bearer x")


async def test_where_a_feed_has_moved_to_another_origin_its_own_headers_stay_behind(web: Web, site: Site) -> None:
    site.page("/new", b"<rss/>")
    wanted = FeedConfig(feed=1, url="https://old.example/feed", headers={"X-Key": "secret"}, user_agent="Reader/1")
    await poll(web, SETTINGS, wanted, FeedState(redirect=Redirect(site.url("/new"), 1)))
    headers = site.requests[0].headers
    assert (headers["user-agent"], "x-key" in headers) == ("Reader/1", False)


@pytest.mark.parametrize(
    ("url", "sent"),
    [
        ("https://a.example/other", True),
        ("https://me:word@a.example/other", True),
        ("http://a.example/feed", False),
        ("https://a.example:8443/feed", False),
        ("https://b.a.example/feed", False),
    ],
)
def test_a_feeds_own_headers_are_for_the_origin_that_they_were_given_for(url: str, sent: bool) -> None:
    given = FeedConfig(feed=1, url="https://a.example/feed", headers={"X-Key": "secret"})
    assert ("X-Key" in request_headers(given, url)) is sent


@pytest.mark.parametrize(
    "status", ["410 Gone", "404 Not Found", "500 Internal Server Error", "503 Service Unavailable"]
)
async def test_an_error_is_named_with_its_url_and_keeps_what_it_asks_for(web: Web, site: Site, status: str) -> None:
    site.page("/feed", b"sorry", status=status, Retry_After="120")
    with pytest.raises(PollError) as caught:
        await poll(web, SETTINGS, config(site), FeedState())
    assert str(caught.value) == f"{site.url('/feed')} answered HTTP {status}"
    assert (caught.value.answer.status, caught.value.answer.retry_after) == (int(status[:3]), 120)


async def test_a_status_that_nobody_knows_is_told_by_its_number(web: Web, site: Site) -> None:
    site.page("/feed", status="799 Whatever")
    with pytest.raises(PollError, match=r"answered HTTP 799$"):
        await poll(web, SETTINGS, config(site), FeedState())


async def test_what_is_no_answer_has_no_status(web: Web, site: Site) -> None:
    site.page("/feed", b"x" * 10_001)
    site.pages["/slow"] = lambda _: silence
    for path in ("/feed", "/slow"):
        with pytest.raises(PollError, match=f"127.0.0.1:{site.port}{path}") as caught:
            await poll(web, SETTINGS, FeedConfig(feed=7, url=site.url(path)), FeedState())
        assert caught.value.answer.status is None


async def silence(writer: asyncio.StreamWriter) -> None:
    del writer


@pytest.mark.parametrize(
    ("statuses", "moved"),
    [(["301 x"], True), (["308 x"], True), (["302 x"], False), (["307 x"], False), (["301 x", "302 x"], False)],
)
async def test_only_permanent_redirects_all_the_way_move_a_feed(
    web: Web, site: Site, statuses: list[str], moved: bool
) -> None:
    paths = ["/feed", *["/between"] * (len(statuses) - 1), "/new"]
    for path, status, target in zip(paths, statuses, paths[1:], strict=False):
        site.page(path, status=status, Location=target)
    site.page("/new", b"<rss/>")
    polled = await poll(web, SETTINGS, config(site), FeedState())
    assert polled.url == site.url("/new")
    assert polled.moved_to == (site.url("/new") if moved else None)
    assert polled.home == site.url("/new" if moved else "/feed")


async def test_a_permanent_redirect_that_has_held_for_days_is_followed_without_asking(web: Web, site: Site) -> None:
    site.page("/new", b"<rss/>")
    since = time.time_ns() // 1_000_000 - REDIRECT_HELD_MS - 1
    polled = await poll(web, SETTINGS, config(site), FeedState(redirect=Redirect(site.url("/new"), since)))
    assert (site.paths(), polled.moved_to) == (["/new"], site.url("/new"))


async def test_a_younger_one_is_asked_for_again(web: Web, site: Site) -> None:
    site.page("/feed", status="301 x", Location="/new")
    site.page("/new", b"<rss/>")
    since = time.time_ns() // 1_000_000 - REDIRECT_HELD_MS + 60_000
    await poll(web, SETTINGS, config(site), FeedState(redirect=Redirect(site.url("/new"), since)))
    assert site.paths() == ["/feed", "/new"]
