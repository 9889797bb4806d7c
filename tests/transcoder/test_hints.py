"""What transcoders remember of image hosts, and that downloads heed it."""

from collections.abc import AsyncIterator, Callable

import pytest

from services.transcoder import hints as hinting
from services.transcoder.download import ARTICLE, NO_REFERER, ORIGIN, PROXY, Limits, download, ways
from services.transcoder.hints import Hints
from shared.bus import Bus
from shared.errors import Reject, Retry
from shared.memory import MemoryBus
from shared.messages import Attempt, ImageJob
from shared.web import Web
from tests.servers import Request, Site, response, running_site

PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)
OTHER_PNG = b"\x89PNG\r\n\x1a\n" + b"\1" * 50
ARTICLE_URL = "http://blog.example/post"


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as running:
        yield running


@pytest.fixture
async def memory() -> AsyncIterator[MemoryBus]:
    bus = MemoryBus()
    yield bus
    await bus.close()


@pytest.fixture
async def web(site: Site) -> AsyncIterator[Web]:
    async with Web(frozenset({site.origin}), proxies=[site.url()]) as client:
        yield client


def job(source: str, *alternates: str) -> ImageJob:
    return ImageJob(image="0" * 32, source=source, referer=ARTICLE_URL, alternates=alternates)


async def tried(web: Web, hints: Hints, wanted: ImageJob, *proxies: str) -> list[tuple[str, int | None]]:
    attempts: list[Attempt] = []
    await download(web, hints, wanted, attempts, Limits(1000, 5, proxies))
    return [(attempt.way, attempt.status) for attempt in attempts]


def only_with_referer(wanted: str, picture: bytes = PNG) -> Callable[[Request], bytes]:
    def answer(request: Request) -> bytes:
        return response(picture) if request.headers.get("referer") == wanted else response(b"no", "403 Forbidden")

    return answer


def test_the_way_that_is_known_goes_first() -> None:
    named = [
        way.name for way in ways(job("http://x/a"), "http://x/a", first=ORIGIN, proxies=["http://p/", "http://q/"])
    ]
    assert named == [ORIGIN, NO_REFERER, ARTICLE, PROXY, f"{PROXY} 2"]


def test_a_referer_has_no_fragment() -> None:
    wanted = ImageJob(image="0" * 32, source="http://x/a", referer="http://blog.example/post#part")
    assert [way.referer for way in ways(wanted, "http://x/a")] == ["", "http://blog.example/post", "http://x/"]


async def test_the_way_that_worked_is_tried_first_next_time(web: Web, site: Site, memory: MemoryBus) -> None:
    site.pages["/a"] = only_with_referer(ARTICLE_URL)
    site.pages["/b"] = only_with_referer(ARTICLE_URL, OTHER_PNG)
    assert await tried(web, Hints(memory), job(site.url("/a"))) == [(NO_REFERER, 403), (ARTICLE, 200)]
    assert await tried(web, Hints(memory), job(site.url("/b"))) == [(ARTICLE, 200)]


async def test_a_way_that_works_no_more_is_replaced(web: Web, site: Site, memory: MemoryBus) -> None:
    hints = Hints(memory)
    await hints.worked(site.url(), ORIGIN, usual=NO_REFERER)
    site.pages["/a"] = only_with_referer(ARTICLE_URL)
    assert await tried(web, hints, job(site.url("/a"))) == [(ORIGIN, 403), (NO_REFERER, 403), (ARTICLE, 200)]
    assert (await hints.of(site.url("/"))).way == ARTICLE


async def test_the_usual_way_is_not_worth_a_write(memory: MemoryBus) -> None:
    hints = Hints(memory)
    await hints.worked("http://x.example/a", NO_REFERER, usual=NO_REFERER)
    await hints.worked("http://x.example/a", ARTICLE, usual=NO_REFERER)
    await hints.worked("http://x.example/b", NO_REFERER, usual=NO_REFERER)
    assert (await Hints(memory).of("http://x.example/c")).way == NO_REFERER


async def test_hints_reach_other_transcoders_in_a_minute(bus: Bus, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = Hints(bus), Hints(bus)
    assert await second.held("http://[::1]:80/") == 0
    await first.hold("http://[::1]:80/", 30)
    assert await second.held("http://[::1]:80/") == 0
    monkeypatch.setattr(hinting, "FRESH_MS", 0)
    assert 29 < await second.held("http://[::1]:80/") <= 30


async def test_what_cannot_be_had_directly_comes_through_a_proxy(web: Web, site: Site, memory: MemoryBus) -> None:
    site.page("/a", status="403 Forbidden")
    site.page(site.url("/a"), PNG)  # what a proxy is asked for is the whole URL
    attempts = await tried(web, Hints(memory), job(site.url("/a")), site.url())
    assert attempts == [(NO_REFERER, 403), (ARTICLE, 403), (ORIGIN, 403), (PROXY, 200)]


async def test_a_host_that_says_429_is_left_alone_by_its_other_images(web: Web, site: Site, memory: MemoryBus) -> None:
    site.page("/a", status="429 Too Many Requests", Retry_After="10")
    site.page("/b", PNG)
    hints = Hints(memory)
    with pytest.raises(Retry) as first:
        await tried(web, hints, job(site.url("/a")))
    with pytest.raises(Retry, match="wants to be left alone for 10 s more") as second:
        await tried(web, hints, job(site.url("/b")))
    assert (site.paths(), 10 <= (first.value.after or 0) <= 15, 9 < (second.value.after or 0) <= 15) == (
        ["/a"],
        True,
        True,
    )


async def test_an_image_is_put_off_for_its_hosts_others_but_once(web: Web, site: Site, memory: MemoryBus) -> None:
    hints = Hints(memory)
    await hints.hold(site.url(), 10)
    site.page("/b", PNG)
    assert await download(web, hints, job(site.url("/b")), [], Limits(1000, 5), patient=False) == PNG


@pytest.mark.parametrize("status", ["500 Internal Server Error", "502 Bad Gateway", "504 Gateway Timeout"])
async def test_a_server_that_hiccups_is_asked_again_later(web: Web, site: Site, memory: MemoryBus, status: str) -> None:
    site.page("/a", status=status)
    with pytest.raises(Retry):
        await tried(web, Hints(memory), job(site.url("/a")))


async def test_a_stand_in_that_a_host_redirects_to_is_not_the_image(web: Web, site: Site, memory: MemoryBus) -> None:
    site.page("/hotlink-denied.png", PNG)

    def answer(request: Request) -> bytes:
        away = response(b"", "302 Found", {"Location": "/hotlink-denied.png"})
        return response(OTHER_PNG) if request.headers.get("referer") == ARTICLE_URL else away

    site.pages["/a"] = answer
    assert await tried(web, Hints(memory), job(site.url("/a"))) == [(NO_REFERER, 200), (ARTICLE, 200)]
    site.page("/b", status="302 Found", Location="/hotlink-denied.png")
    with pytest.raises(Reject, match="leads to a stand-in"):
        await tried(web, Hints(memory), job(site.url("/b")))


async def test_the_same_bytes_for_several_urls_are_a_stand_in_if_another_way_gives_more(
    web: Web, site: Site, memory: MemoryBus
) -> None:
    def protected(picture: bytes) -> Callable[[Request], bytes]:
        return lambda request: response(picture if request.headers.get("referer") == ARTICLE_URL else PNG)

    site.pages["/a"] = protected(PNG + b"a")
    site.pages["/b"] = protected(PNG + b"b")
    site.page("/c", PNG)
    hints = Hints(memory)
    assert await tried(web, hints, job(site.url("/a"))) == [(NO_REFERER, 200)]
    assert await tried(web, hints, job(site.url("/b"))) == [(NO_REFERER, 200), (ARTICLE, 200)]
    assert [way for way, _ in await tried(web, hints, job(site.url("/c")))] == [NO_REFERER, ORIGIN, ARTICLE]


async def test_a_date_in_retry_after_counts_too(web: Web, site: Site, memory: MemoryBus) -> None:
    site.page("/a", status="503 Service Unavailable", Retry_After="Fri, 31 Dec 2100 23:59:59 GMT")
    with pytest.raises(Retry) as caught:
        await tried(web, Hints(memory), job(site.url("/a")))
    assert 60 <= (caught.value.after or 0) <= 90
