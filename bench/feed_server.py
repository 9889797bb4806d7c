"""Thousands of feeds on loopback, each at an address of its own, some of them changed with every generation.

    python bench/feed_server.py FEEDS PORT

`GET /generation/N` at 127.0.0.1 makes it the N-th: of ten feeds three then have N entries more.
"""

import argparse
import asyncio
import socket
from functools import cache

ENTRIES = 20
CHANGED_OF_TEN = 3
_PARAGRAPH = "<p>The quick brown fox jumps over the lazy dog, <b>again</b> and <a href='/more'>again</a>.</p>"


def address(feed: int) -> str:
    """Return the feed's own loopback address: to politeness each is another host."""
    return f"127.1.{feed // 250}.{feed % 250 + 1}"


@cache
def _item(base: str, number: int) -> str:
    body = f"<img src='{base}/{number}.jpg' width='640' height='400'>{_PARAGRAPH * 12}"
    return (
        f"<item><title>Entry {number}</title><link>{base}/{number}</link><guid>{base}/{number}</guid>"
        f"<pubDate>Mon, {number % 27 + 1:02} Jul 2026 10:00:00 GMT</pubDate>"
        f"<description><![CDATA[{body}]]></description></item>"
    )


class Feeds(asyncio.Protocol):
    """Answers one connection."""

    generation = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember the transport."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101 - TCP's
        self._transport = transport
        host, port = transport.get_extra_info("sockname")
        self._base = f"http://{host}:{port}"
        _, _, high, low = host.split(".")
        self._feed = int(high) * 250 + int(low) - 1

    def data_received(self, data: bytes) -> None:
        """Answer a request; those of the benchmark fit into one packet."""
        if data.startswith(b"GET /generation/"):
            Feeds.generation = int(data.split(b" ", 2)[1].rsplit(b"/", 1)[1])
            self._answer("200 OK", "", b"")
            return
        news = Feeds.generation if self._feed % 10 < CHANGED_OF_TEN else 0
        etag = f'"{self._feed}-{news}"'
        if etag.encode() in data:
            self._answer("304 Not Modified", etag, b"")
        else:
            self._answer("200 OK", etag, self._body(news))

    def _body(self, news: int) -> bytes:
        items = "".join(_item(self._base, number) for number in range(ENTRIES + news, news, -1))
        head = f"<title>Feed {self._feed}</title><link>{self._base}/</link><description>Benchmark</description>"
        return f"<?xml version='1.0'?><rss version='2.0'><channel>{head}{items}</channel></rss>".encode()

    def _answer(self, status: str, etag: str, body: bytes) -> None:
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/rss+xml\r\nETag: {etag}\r\n"
        self._transport.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)


async def main(feeds: int, port: int) -> None:
    """Serve until killed."""
    loop = asyncio.get_running_loop()
    for host in ("127.0.0.1", *map(address, range(feeds))):
        listener = socket.create_server((host, port))
        await loop.create_server(Feeds, sock=listener)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("feeds", type=int)
    parser.add_argument("port", type=int)
    arguments = parser.parse_args()
    asyncio.run(main(arguments.feeds, arguments.port))
