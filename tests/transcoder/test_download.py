"""Getting an image past every kind of hot-link protection, and what each kind of failure means."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from services.transcoder.download import ARTICLE, NO_REFERER, ORIGIN, Limits, download, is_gone, ways
from services.transcoder.hints import Hints
from shared.errors import Reject, Retry
from shared.memory import MemoryBus
from shared.messages import Attempt, ImageJob
from shared.web import Web
from tests.servers import Request, Site, response, running_site

PNG = b"\x89PNG\r\n\x1a\n" + bytes(50)
GIF_PIXEL = b"GIF89a\1\0\1\0" + bytes(30)
PNG_PIXEL = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1" + bytes(30)
HTML = b"<!doctype html><title>No hot-linking</title>"
ARTICLE_URL = "http://blog.example/post"


class Errand:
    """One image to get from a site, and the attempts that it took."""

    def __init__(self, site: Site, web: Web) -> None:
        self.site = site
        self._web = web
        self._hints = Hints(MemoryBus())
        self.attempts: list[Attempt] = []

    async def run(self, *paths: str, referer: str = ARTICLE_URL, seconds: float = 5) -> bytes:
        urls = [self.site.url(path) for path in paths or ("/a.png",)]
        job = ImageJob(image="0" * 32, source=urls[0], referer=referer, alternates=tuple(urls[1:]))
        self.attempts.clear()
        return await download(self._web, self._hints, job, self.attempts, Limits(1000, seconds))

    def tried(self) -> list[tuple[str, int | None]]:
        return [(attempt.way, attempt.status) for attempt in self.attempts]

    def reasons(self) -> list[str]:
        return [attempt.reason.replace(self.site.url(""), "") for attempt in self.attempts]


@pytest.fixture
async def errand() -> AsyncIterator[Errand]:
    async with running_site() as site, Web(frozenset({site.origin})) as web:
        yield Errand(site, web)


def by_referer(answer: Callable[[str], bytes]) -> Callable[[Request], bytes]:
    """A page that looks at the Referer."""
    return lambda request: answer(request.headers.get("referer", ""))


FORBIDDEN = response(b"no", "403 Forbidden")


async def test_an_open_image_takes_one_request_without_a_referer(errand: Errand) -> None:
    errand.site.page("/a.png", PNG)
    assert await errand.run() == PNG
    assert errand.attempts == [Attempt(way=NO_REFERER, status=200)]
    headers = errand.site.requests[0].headers
    assert "referer" not in headers
    assert headers["accept"].startswith("image/")


async def test_a_site_that_forbids_no_referer_gets_the_articles(errand: Errand) -> None:
    errand.site.pages["/a.png"] = by_referer(lambda referer: response(PNG) if referer else FORBIDDEN)
    assert await errand.run() == PNG
    assert errand.tried() == [(NO_REFERER, 403), (ARTICLE, 200)]
    assert errand.reasons() == ["/a.png answered HTTP 403", ""]
    assert errand.site.requests[1].headers["referer"] == ARTICLE_URL


async def test_a_site_that_forbids_a_foreign_referer_is_asked_without(errand: Errand) -> None:
    errand.site.pages["/a.png"] = by_referer(lambda referer: FORBIDDEN if referer else response(PNG))
    assert await errand.run() == PNG
    assert errand.tried() == [(NO_REFERER, 200)]


async def test_a_site_that_wants_its_own_origin_gets_it(errand: Errand) -> None:
    own = errand.site.url("/")
    errand.site.pages["/a.png"] = by_referer(lambda referer: response(PNG) if referer == own else FORBIDDEN)
    assert await errand.run() == PNG
    assert errand.tried() == [(NO_REFERER, 403), (ARTICLE, 403), (ORIGIN, 200)]


async def test_an_image_without_an_article_has_two_ways(errand: Errand) -> None:
    errand.site.page("/a.png", status="403 Forbidden")
    with pytest.raises(Reject):
        await errand.run(referer="")
    assert errand.tried() == [(NO_REFERER, 403), (ORIGIN, 403)]


def test_an_origin_never_tells_a_password() -> None:
    job = ImageJob(image="0" * 32, source="", referer="")
    assert [way.referer for way in ways(job, "http://user:pw@x.example:81/a.png")] == ["", "http://x.example:81/"]


@pytest.mark.parametrize("stand_in", [HTML, GIF_PIXEL, PNG_PIXEL], ids=["page", "gif pixel", "png pixel"])
async def test_what_a_site_gives_in_the_images_stead_is_not_taken_for_it(errand: Errand, stand_in: bytes) -> None:
    errand.site.pages["/a.png"] = by_referer(lambda referer: response(PNG if referer else stand_in))
    assert await errand.run() == PNG
    assert errand.tried() == [(NO_REFERER, 200), (ARTICLE, 200)]


async def test_an_image_that_is_one_pixel_whoever_asks_is_taken_in_the_end(errand: Errand) -> None:
    errand.site.pages["/a.png"] = by_referer(lambda referer: FORBIDDEN if referer else response(GIF_PIXEL))
    assert await errand.run() == GIF_PIXEL
    assert errand.tried() == [(ARTICLE, 403), (ORIGIN, 403), (NO_REFERER, 200)]


async def test_a_page_whoever_asks_is_no_image_and_never_will_be(errand: Errand) -> None:
    errand.site.page("/a.png", HTML, Content_Type="image/png")
    with pytest.raises(Reject, match="it is a web page, not an image"):
        await errand.run()
    assert errand.reasons() == ["/a.png: it is a web page, not an image"] * 3
    assert not is_gone(errand.attempts)


async def test_a_wrong_type_does_not_matter_if_the_bytes_are_an_image(errand: Errand) -> None:
    errand.site.page("/a.png", PNG, Content_Type="text/html")
    assert await errand.run() == PNG


@pytest.mark.parametrize("status", ["404 Not Found", "410 Gone"])
async def test_an_image_that_is_gone_is_asked_for_once(errand: Errand, status: str) -> None:
    errand.site.page("/a.png", status=status)
    with pytest.raises(Reject, match=f"HTTP {status[:3]}$"):
        await errand.run()
    assert errand.tried() == [(NO_REFERER, int(status[:3]))]
    assert is_gone(errand.attempts)


async def test_a_dead_urls_alternates_are_tried(errand: Errand) -> None:
    errand.site.page("/small.png", PNG)
    assert await errand.run("/a.png", "/b.png", "/small.png") == PNG
    assert errand.tried() == [(NO_REFERER, 404), (NO_REFERER, 404), (NO_REFERER, 200)]


async def test_an_image_is_not_gone_while_one_of_its_urls_is_only_forbidden(errand: Errand) -> None:
    errand.site.page("/b.png", status="403 Forbidden")
    with pytest.raises(Reject):
        await errand.run("/a.png", "/b.png")
    assert not is_gone(errand.attempts)


@pytest.mark.parametrize("status", ["429 Too Many Requests", "503 Service Unavailable"])
async def test_a_busy_host_is_asked_once_and_left_alone_for_as_long_as_it_says(errand: Errand, status: str) -> None:
    errand.site.page("/a.png", status=status, Retry_After="7")
    with pytest.raises(Retry) as caught:
        await errand.run()
    assert caught.value.after is not None
    assert 7 <= caught.value.after <= 7 * 1.5
    assert errand.tried() == [(NO_REFERER, int(status[:3]))]
    with pytest.raises(Retry, match=r"wants to be left alone for \d+ s more"):
        await errand.run()
    assert len(errand.site.requests) == 1


@pytest.mark.parametrize("status", ["500 Internal Server Error", "502 Bad Gateway", "504 Gateway Timeout"])
async def test_a_broken_server_may_work_later(errand: Errand, status: str) -> None:
    errand.site.page("/a.png", status=status)
    with pytest.raises(Retry, match=f"HTTP {status[:3]}"):
        await errand.run()
    assert not is_gone(errand.attempts)


async def test_a_server_that_answers_too_slowly_may_be_quicker_later(errand: Errand) -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 58\r\n\r\n" + PNG[:9])

    errand.site.pages["/a.png"] = lambda _: trickle
    with pytest.raises(Retry, match="no complete answer within 0 s"):
        await errand.run(seconds=0.2)
    assert errand.tried() == [(NO_REFERER, None)]


async def test_an_answer_that_breaks_off_may_be_whole_later(errand: Errand) -> None:
    async def break_off(writer: asyncio.StreamWriter) -> None:
        writer.write(response(PNG, headers={"Content-Length": "1000"}))
        writer.close()

    errand.site.pages["/a.png"] = lambda _: break_off
    with pytest.raises(Retry, match="the answer broke off"):
        await errand.run()


async def test_a_host_that_is_not_there_may_come_back(errand: Errand) -> None:
    job = ImageJob(image="0" * 32, source="http://nowhere.invalid/a.png", referer="")
    attempts: list[Attempt] = []
    async with Web() as web:
        with pytest.raises(Retry, match=r"nowhere\.invalid"):
            await download(web, Hints(MemoryBus()), job, attempts, Limits(1000, 5))
    assert [attempt.status for attempt in attempts] == [None]
    assert errand.site.requests == []


async def test_a_file_over_the_limit_is_asked_for_once(errand: Errand) -> None:
    errand.site.page("/a.png", PNG + bytes(1000))
    with pytest.raises(Reject, match="larger than"):
        await errand.run()
    assert len(errand.site.requests) == 1


@pytest.mark.parametrize(
    "url", ["http://[bad/a.png", "http://127.0.0.1:99999/a.png", "ftp://x.example/a.png", "/a.png"]
)
async def test_what_is_no_url_is_rejected_and_its_alternates_are_tried(errand: Errand, url: str) -> None:
    attempts: list[Attempt] = []
    async with Web(frozenset({errand.site.origin})) as web:
        job = ImageJob(image="0" * 32, source=url, referer=ARTICLE_URL)
        with pytest.raises(Reject):
            await download(web, Hints(MemoryBus()), job, attempts, Limits(1000, 5))
        errand.site.page("/b.png", PNG)
        job = ImageJob(image="0" * 32, source=url, referer=ARTICLE_URL, alternates=(errand.site.url("/b.png"),))
        assert await download(web, Hints(MemoryBus()), job, attempts, Limits(1000, 5)) == PNG
