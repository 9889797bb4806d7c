"""The world around the system in bench/chaos.py: a site, a storage that fails, a network that cuts and delays."""

import asyncio
import io
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from functools import cache

from PIL import Image

Exchange = tuple[str, str, dict[str, str], bytes]  # method, path, headers, body


def seeded(seed: float | str) -> random.Random:
    """Return chance that is the same in every run."""
    return random.Random(seed)  # noqa: S311 - not a secret


class Http(ABC):
    """The least HTTP/1.1 server that the services are content with."""

    def __init__(self) -> None:
        self.port = 0

    @abstractmethod
    async def answer(self, exchange: Exchange) -> tuple[int, str, bytes]:
        """Return status, media type and body."""

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[None]:
        """Serve on a free port of loopback while the block runs."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        try:
            yield
        finally:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):  # the end of the run
            while line := await reader.readline():
                method, path, _ = line.decode("latin-1").split(" ", 2)
                headers: dict[str, str] = {}
                while header := (await reader.readline()).decode("latin-1").strip():
                    name, _, value = header.partition(":")
                    headers[name.lower()] = value.strip()
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                status, kind, reply = await self.answer((method, path, headers, body))
                length = f"content-length: {len(reply)}\r\n"
                writer.write(f'HTTP/1.1 {status} x\r\ncontent-type: {kind}\r\netag: "e"\r\n{length}'.encode())
                writer.write(
                    b"last-modified: Thu, 01 Jan 2026 00:00:00 GMT\r\n\r\n" + (b"" if method == "HEAD" else reply)
                )
                await writer.drain()
        writer.close()


class Feeds(Http):
    """Feed `n` has two articles with two images of their own each, and one that all feeds share."""

    ARTICLES, IMAGES = 2, 2
    SIZE = (160, 120)  # of an image, pixels

    def url(self, path: str) -> str:
        """Return the URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def wanted(self, feed: int) -> dict[str, set[str]]:
        """Return what must come of a feed: article link → image URLs."""
        return {
            self.url(f"/{feed}/{article}"): {
                *(self.url(f"/{feed}/{article}/{image}.png") for image in range(self.IMAGES)),
                self.url("/shared.png"),
            }
            for article in range(self.ARTICLES)
        }

    async def answer(self, exchange: Exchange) -> tuple[int, str, bytes]:
        """Answer with a feed or an image."""
        _, path, _, _ = exchange
        if path.endswith("feed.xml"):
            return 200, "application/rss+xml", self._feed(int(path.split("/")[1]))
        if path.endswith(".png"):
            return 200, "image/png", picture(path, self.SIZE)
        return 404, "text/plain", b"nothing here"

    def _feed(self, feed: int) -> bytes:
        items = "".join(
            f"<item><title>{link}</title><link>{link}</link><guid>{link}</guid><description>"
            + "".join(f"&lt;img src=&quot;{image}&quot;&gt;" for image in sorted(images))
            + "</description></item>"
            for link, images in self.wanted(feed).items()
        )
        return f"<rss version='2.0'><channel><title>feed {feed}</title>{items}</channel></rss>".encode()


@cache
def picture(path: str, size: tuple[int, int] = (160, 120)) -> bytes:
    """Draw the picture of a path: each another, part photograph, part plain."""
    colours = seeded(path)
    image = Image.new("RGB", size, tuple(colours.randbytes(3)))
    width, height = size[0] // 4, size[1] // 3
    image.paste(Image.frombytes("RGB", (width, height), colours.randbytes(width * height * 3)), (10, 10))
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


class Storage(Http):
    """An S3 bucket that fails now and then, before or after it has done what it was asked."""

    def __init__(self, chance: random.Random, share: float) -> None:
        super().__init__()
        self.objects: dict[str, bytes] = {}
        self.did: Counter[str] = Counter()
        self._chance = chance
        self._share = share

    def copies(self) -> int:
        """Count objects whose bytes another object has as well."""
        return len(self.objects) - len(set(self.objects.values()))

    async def answer(self, exchange: Exchange) -> tuple[int, str, bytes]:
        """Answer as S3 does, or with 503."""
        method, path, headers, body = exchange
        fails, late = self._chance.random() < self._share, self._chance.random() < 0.5
        if fails and not late:
            self.did["failed"] += 1
            return 503, "application/xml", b"<Error><Code>InternalError</Code></Error>"
        answer = self._do(method, path.partition("?")[0], headers, body)
        if fails:
            self.did["failed, having done it"] += 1
            return 503, "application/xml", b"<Error><Code>InternalError</Code></Error>"
        return answer

    def _do(self, method: str, key: str, headers: dict[str, str], body: bytes) -> tuple[int, str, bytes]:
        if method == "PUT":
            there = key in self.objects
            self.did["put again" if there else "put"] += 1
            if there and headers.get("if-none-match"):
                return 412, "application/xml", b"<Error><Code>PreconditionFailed</Code></Error>"
            self.objects[key] = body
            return 200, "text/plain", b""
        if key in self.objects:
            return 200, "image/webp", self.objects[key]
        return 404, "application/xml", b"<Error><Code>NoSuchKey</Code></Error>"


class Network:
    """A TCP proxy before one address: delays what passes, and cuts connections."""

    def __init__(self, chance: random.Random, target: int) -> None:
        self.port = 0
        self.cuts = 0
        self._chance = chance
        self._target = target
        self._open: set[asyncio.StreamWriter] = set()

    @asynccontextmanager
    async def serving(self) -> AsyncGenerator[None]:
        """Pass on while the block runs."""
        server = await asyncio.start_server(self._pass, "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        try:
            yield
        finally:
            server.close()

    def cut(self) -> None:
        """Cut one connection without a word."""
        if self._open:
            self.cuts += 1
            self._chance.choice(sorted(self._open, key=id)).transport.abort()

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            there, back = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._open.add(writer)
        with suppress(asyncio.CancelledError):  # the end of the run
            await asyncio.wait(
                [asyncio.ensure_future(self._copy(reader, back)), asyncio.ensure_future(self._copy(there, writer))],
                return_when=asyncio.FIRST_COMPLETED,
            )
        self._open.discard(writer)
        for end in (writer, back):
            end.transport.abort()

    async def _copy(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await source.read(65_536):
                if self._chance.random() < 0.02:
                    await asyncio.sleep(self._chance.uniform(0, 0.2))
                sink.write(data)
                await sink.drain()
