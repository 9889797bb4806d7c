"""The outbound client against a server that does what strangers' servers do."""

import asyncio
import gzip
import zlib
from collections.abc import AsyncIterator, Callable

import brotli  # pyright: ignore[reportMissingTypeStubs]
import pytest
import zstandard

from shared.guard import Blocked, Unreachable
from shared.inflate import BadEncoding, TooLarge
from shared.web import Answer, Hop, Web
from tests.servers import Site, running_site


@pytest.fixture
async def site() -> AsyncIterator[Site]:
    async with running_site() as running:
        yield running


@pytest.fixture
async def web(site: Site) -> AsyncIterator[Web]:
    async with Web(frozenset({site.origin})) as client:
        yield client


async def get(web: Web, url: str, max_bytes: int = 1_000_000, seconds: float = 5, **headers: str) -> Answer:
    return await web.get(url, max_bytes=max_bytes, seconds=seconds, headers=headers)


async def test_the_body_and_its_headers_come_back(web: Web, site: Site) -> None:
    site.page("/", b"hello", Content_Type="text/plain")
    answer = await get(web, site.url())
    assert (answer.status, answer.body, answer.headers["content-type"]) == (200, b"hello", "text/plain")


async def test_loopback_is_refused_unless_it_was_allowed(site: Site) -> None:
    async with Web() as web:
        with pytest.raises(Blocked, match=f"--allow-host 127.0.0.1:{site.port}"):
            await get(web, site.url())
    assert site.requests == []


async def test_a_redirect_to_a_private_address_is_refused(web: Web, site: Site) -> None:
    async with running_site() as inner:
        site.page("/", status="302 Found", Location=inner.url("/secret"))
        with pytest.raises(Blocked, match="not on the public Internet"):
            await get(web, site.url())
        assert inner.requests == []


async def test_a_name_with_one_private_address_is_refused(site: Site) -> None:
    async def both(host: str, port: int) -> list[str]:
        del host, port
        return ["8.8.8.8", "127.0.0.1"]

    async with Web(resolver=both) as web:
        with pytest.raises(Blocked):
            await get(web, f"http://mixed.example:{site.port}/")
    assert site.requests == []


@pytest.mark.parametrize(
    "host", ["2130706433", "0x7f000001", "0177.0.0.1", "127.1", "localhost", "[::1]", "[::ffff:7f00:1]"]
)
async def test_other_spellings_of_loopback_are_refused(site: Site, host: str) -> None:
    async with Web() as web:
        with pytest.raises((Blocked, Unreachable)):
            await get(web, f"http://{host}:{site.port}/")
    assert site.requests == []


async def test_redirects_are_followed_and_told(web: Web, site: Site) -> None:
    site.page("/a", status="301 Moved Permanently", Location="/b")
    site.page("/b", status="302 Found", Location="c?d=1")
    site.page("/c", b"there")
    answer = await get(web, site.url("/a"))
    assert (answer.url, answer.body, answer.statuses) == (site.url("/c?d=1"), b"there", (301, 302, 200))
    assert answer.hops == (Hop(301, site.url("/a")), Hop(302, site.url("/b")))


async def test_endless_redirects_end(web: Web, site: Site) -> None:
    site.page("/", status="302 Found", Location="/")
    with pytest.raises(Blocked, match="more than 10 redirects"):
        await get(web, site.url())


async def test_secrets_stay_with_their_origin_when_redirected(site: Site) -> None:
    async with running_site() as other:
        site.page("/", status="302 Found", Location=other.url("/"))
        other.page("/")
        async with Web(frozenset({site.origin, other.origin})) as both:
            await get(both, site.url(), Authorization="secret", Referer="http://x/")
        assert ("authorization" in other.requests[0].headers, other.requests[0].headers["referer"]) == (
            False,
            "http://x/",
        )


async def test_cookies_live_for_one_request(web: Web, site: Site) -> None:
    site.page("/a", status="302 Found", Location="/b", Set_Cookie="k=v")
    site.page("/b")
    await get(web, site.url("/a"))
    await get(web, site.url("/b"))
    assert [request.headers.get("cookie") for request in site.requests] == [None, "k=v", None]


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "br": brotli.compress,
    "zstd": zstandard.compress,
}


@pytest.mark.parametrize("encoding", COMPRESSORS)
async def test_a_compressed_body_is_inflated_and_a_bomb_stopped(web: Web, site: Site, encoding: str) -> None:
    compress = COMPRESSORS[encoding]
    site.page("/small", compress(b"hello" * 1000), Content_Encoding=encoding)
    site.page("/bomb", compress(bytes(100_000_000)), Content_Encoding=encoding)
    assert (await get(web, site.url("/small"))).body == b"hello" * 1000
    with pytest.raises(TooLarge, match="larger than 1 MB"):
        await get(web, site.url("/bomb"))


async def test_a_body_that_is_not_what_its_encoding_says_is_an_error(web: Web, site: Site) -> None:
    site.page("/", b"not gzip at all", Content_Encoding="gzip")
    with pytest.raises(BadEncoding):
        await get(web, site.url())


async def test_an_endless_body_is_cut_at_the_limit(web: Web, site: Site) -> None:
    async def zeros(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while True:
            writer.write(b"10000\r\n" + bytes(65536) + b"\r\n")
            await writer.drain()

    site.pages["/"] = lambda _: zeros
    with pytest.raises(TooLarge):
        await get(web, site.url())


async def test_a_body_that_trickles_is_given_up_in_time(web: Web, site: Site) -> None:
    async def trickle(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    site.pages["/"] = lambda _: trickle
    with pytest.raises(Unreachable, match="no complete answer within"):
        await get(web, site.url(), seconds=0.3)


async def test_a_body_shorter_than_promised_is_an_error(web: Web, site: Site) -> None:
    async def short(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhello")
        await writer.drain()
        writer.close()

    site.pages["/"] = lambda _: short
    with pytest.raises(Unreachable, match="broke off"):
        await get(web, site.url())


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://x/", "gopher://x/", "http://", "not a url"])
async def test_what_is_no_web_url_is_refused(web: Web, url: str) -> None:
    with pytest.raises(Blocked, match="not a"):
        await get(web, url)


async def test_no_such_host_is_said(web: Web) -> None:
    with pytest.raises(Unreachable, match="no such host: nowhere"):
        await get(web, "http://nowhere.invalid/")


async def test_nobody_listening_is_said() -> None:
    async with Web(frozenset({("127.0.0.1", 1)})) as client:
        with pytest.raises(Unreachable, match=r"cannot connect to 127\.0\.0\.1:1: refused"):
            await get(client, "http://127.0.0.1:1/")


async def test_a_user_and_password_in_the_url_are_told_to_its_origin_alone(site: Site) -> None:
    async with running_site() as other:
        site.page("/a", status="302 Found", Location="/b")
        site.page("/b", status="302 Found", Location=other.url("/").replace("//", "//mallory:x@"))
        other.page("/")
        async with Web(frozenset({site.origin, other.origin})) as both:
            answer = await get(both, site.url("/a").replace("//", "//a%20b:c%3Ad@"))
    assert [request.headers.get("authorization") for request in site.requests] == ["Basic YSBiOmM6ZA=="] * 2
    assert ("authorization" in other.requests[0].headers, answer.url) == (False, other.url("/"))


async def test_errors_do_not_tell_the_password(site: Site) -> None:
    async with Web() as web:
        with pytest.raises(Blocked) as caught:
            await get(web, site.url().replace("//", "//user:secret@"))
    assert "secret" not in str(caught.value)


async def test_headers_may_be_replaced_but_not_those_that_frame_the_message(web: Web, site: Site) -> None:
    site.page("/")
    headers = {"user-agent": "Mine/1", "host": "other.example", "Accept-Encoding": "compress", "X-Key": "k"}
    await web.get(site.url(), max_bytes=1000, seconds=5, headers=headers)
    sent = site.requests[0].headers
    assert (sent["user-agent"], sent["host"], sent["accept-encoding"], sent["x-key"]) == (
        "Mine/1",
        f"127.0.0.1:{site.port}",
        "gzip, br, zstd",
        "k",
    )


async def test_a_configured_proxy_is_handed_the_whole_url_and_its_password(site: Site) -> None:
    async def public(host: str, port: int) -> list[str]:
        del port
        return ["127.0.0.1" if host == "127.0.0.1" else "93.184.216.34"]

    proxy = site.url().replace("//", "//me:pw@")
    site.page("http://public.example/page", b"through the proxy")
    async with Web(resolver=public, proxies=[proxy]) as web:
        answer = await web.get("http://public.example/page", max_bytes=1000, seconds=5, proxy=proxy)
    assert (answer.body, site.requests[0].headers["proxy-authorization"]) == (b"through the proxy", "Basic bWU6cHc=")


async def test_a_form_is_posted_once(web: Web, site: Site) -> None:
    site.page("/", status="202 Accepted")
    answer = await web.post(
        site.url(), {"hub.mode": "subscribe", "hub.topic": "http://x/?a=1&b"}, max_bytes=9, seconds=5
    )
    assert (answer.status, site.requests[0].method, site.requests[0].headers["content-type"]) == (
        202,
        "POST",
        "application/x-www-form-urlencoded",
    )


@pytest.mark.parametrize(
    ("url", "public"),
    [
        ("ftp://me:secret@site.example/a", "not an http or https URL: ftp://site.example/a"),
        ("http:me:secret@site.example/a", "not an http or https URL: http:site.example/a"),
        ("http://me:secret@site.example:x/a", "not a URL: http://site.example:x/a: Invalid port: 'x'"),
    ],
)
async def test_what_is_refused_is_named_without_user_and_password(web: Web, url: str, public: str) -> None:
    with pytest.raises(Blocked) as caught:
        await get(web, url)
    assert str(caught.value) == public
