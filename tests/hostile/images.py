"""What image hosts do to those who fetch from them, each with how it must settle."""

import asyncio
import gzip
import struct
import zlib
from collections.abc import Callable
from io import BytesIO

import msgspec
from PIL import Image

from tests.servers import Reply, Request, response

ARTICLE = "http://reader.example/article"  # the link of the article that wants the image
Answer = Callable[[Request, str], Reply]  # from a request and the host's own origin


class Case(msgspec.Struct, frozen=True):
    """One host's manners."""

    answer: Answer
    mirrored: bool
    way: str = ""  # by which the bytes came, where it was mirrored
    reason: str = ""  # part of why not, where it was not
    requests: int | None = None  # that the host got; None: it does not matter


def picture(size: int = 64, kind: str = "PNG") -> bytes:
    """Return a picture that is no single colour."""
    image = Image.linear_gradient("L").resize((size, size)).convert("RGB")
    out = BytesIO()
    image.save(out, kind)
    return out.getvalue()


PICTURE = picture()
_TYPE = {"Content-Type": "image/png"}
_OK = response(PICTURE, headers=_TYPE)
_FORBIDDEN = response(b"<h1>no hot-linking</h1>", "403 Forbidden", {"Content-Type": "text/html"})


def always(reply: Reply) -> Answer:
    """Answer everything alike."""
    return lambda _request, _origin: reply


def if_referer(allowed: Callable[[str, str], bool], otherwise: Reply = _FORBIDDEN) -> Answer:
    """Give the picture to requests whose Referer is allowed, knowing the host's origin."""
    return lambda request, origin: _OK if allowed(request.headers.get("referer", ""), origin) else otherwise


def then(*replies: Reply) -> Answer:
    """Answer one after the other, the last for ever."""
    left = list(replies)
    return lambda _request, _origin: left.pop(0) if len(left) > 1 else left[0]


def away(target: str) -> Answer:
    """Redirect to another place."""
    return always(response(b"", "302 Found", {"Location": target}))


async def _trickle(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for byte in PICTURE:
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)


async def _endless(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: image/png\r\nTransfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + bytes(65_536) + b"\r\n")
        await writer.drain()


async def _hang_up(writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _too_short(writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n" + PICTURE)
    await writer.drain()
    writer.close()


def _referred_elsewhere(request: Request, origin: str) -> Reply:
    if request.path.startswith("/hotlink"):
        return _OK
    return _OK if request.headers.get("referer") == ARTICLE else away(f"{origin}/hotlink.png")(request, origin)


def _redirected(request: Request, origin: str) -> Reply:
    return _OK if request.path == "/there.png" else away("/there.png")(request, origin)


def _bomb(size: int) -> bytes:
    """Return a PNG that says it is `size` pixels wide and high, and has next to no bytes."""
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", size, size, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(b"")),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data)) for name, data in chunks
    )


CASES = {
    "plain": Case(always(_OK), mirrored=True, way="no referer", requests=1),
    "wants the article as referer": Case(
        if_referer(lambda referer, _: referer == ARTICLE), mirrored=True, way="article", requests=2
    ),
    "wants its own site as referer": Case(
        if_referer(lambda referer, origin: referer.startswith(origin)), mirrored=True, way="origin", requests=3
    ),
    "refuses foreign referers": Case(
        if_referer(lambda referer, origin: not referer or referer.startswith(origin)), mirrored=True, way="no referer"
    ),
    "gives a web page without a referer": Case(
        if_referer(lambda referer, _: bool(referer), response(b"<html>hot-linked</html>")), mirrored=True, way="article"
    ),
    "gives one pixel without a referer": Case(
        if_referer(lambda referer, _: bool(referer), response(picture(1))), mirrored=True, way="article"
    ),
    "redirects to a stand-in without a referer": Case(_referred_elsewhere, mirrored=True, way="article"),
    "refuses everybody": Case(always(_FORBIDDEN), mirrored=False, reason="HTTP 403", requests=3),
    "says it is text": Case(always(response(PICTURE, headers={"Content-Type": "text/html"})), mirrored=True),
    "is a jpeg and says png": Case(always(response(picture(kind="JPEG"), headers=_TYPE)), mirrored=True),
    "is a web page and says png": Case(
        always(response(b"<!doctype html>", headers=_TYPE)), mirrored=False, reason="page"
    ),
    "is empty": Case(always(response(b"", headers=_TYPE)), mirrored=False),
    "is a script in an svg": Case(always(response(b"<svg><script>", headers=_TYPE)), mirrored=False),
    "is gone": Case(always(response(b"", "410 Gone")), mirrored=False, reason="HTTP 410", requests=1),
    "is not there": Case(always(response(b"", "404 Not Found")), mirrored=False, reason="HTTP 404", requests=1),
    "storms with 429, then gives in": Case(
        then(*[response(b"", "429 Too Many Requests", {"Retry-After": "1"})] * 2, _OK), mirrored=True, requests=3
    ),
    "always says 429": Case(
        always(response(b"", "429 Too Many Requests", {"Retry-After": "1"})), mirrored=False, reason="HTTP 429"
    ),
    "hiccups, then works": Case(
        then(*[response(b"", "500 Internal Server Error")] * 3, _OK), mirrored=True, requests=4
    ),
    "trickles": Case(always(_trickle), mirrored=False, reason="no complete answer"),
    "never ends": Case(always(_endless), mirrored=False, reason="larger than", requests=1),
    "hangs up": Case(always(_hang_up), mirrored=False),
    "is no HTTP": Case(always(b"SSH-2.0-OpenSSH_9.2\r\n"), mirrored=False),
    "is shorter than promised": Case(always(_too_short), mirrored=False, reason="broke off"),
    "is longer than promised": Case(
        always(response(PICTURE, headers={"Content-Length": str(len(PICTURE) // 2)})), mirrored=False
    ),
    "is a gzip bomb": Case(
        always(response(gzip.compress(bytes(20_000_000)), headers={"Content-Encoding": "gzip"})),
        mirrored=False,
        reason="larger than",
        requests=1,
    ),
    "is no gzip": Case(
        always(response(PICTURE, headers={"Content-Encoding": "gzip"})), mirrored=False, reason="Content-Encoding"
    ),
    "is gzipped": Case(
        always(response(gzip.compress(PICTURE), headers={"Content-Encoding": "gzip"})), mirrored=True, requests=1
    ),
    "is a pixel bomb": Case(always(response(_bomb(60_000))), mirrored=False),
    "redirects": Case(_redirected, mirrored=True, way="no referer", requests=2),
    "redirects in a circle": Case(away("/again.png"), mirrored=False, reason="more than 10 redirects"),
    "redirects to a private address": Case(
        away("http://10.0.0.1/x.png"), mirrored=False, reason="not on the public Internet", requests=1
    ),
    "redirects to the cloud's metadata": Case(
        away("http://169.254.169.254/latest/"), mirrored=False, reason="not on the public Internet", requests=1
    ),
    "redirects to a file": Case(away("file:///etc/passwd"), mirrored=False, reason="not an http", requests=1),
    "redirects to itself in decimal": Case(
        away("http://2130706433:1/x.png"), mirrored=False, reason="not on the public Internet", requests=1
    ),
}
