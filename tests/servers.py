"""A loopback HTTP server for tests, whose answers are said byte by byte where that matters."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress

import msgspec

Reply = bytes | Callable[[asyncio.StreamWriter], Awaitable[None]]


class Request(msgspec.Struct, frozen=True):
    """What a client asked for."""

    method: str
    path: str  # with its query
    headers: dict[str, str]  # names in lower case


class Site:
    """A running server: what it answers per path, and what it was asked."""

    def __init__(self) -> None:
        self.port = 0
        self.requests: list[Request] = []
        self.connections: set[asyncio.StreamWriter] = set()
        self.pages: dict[str, Reply | Callable[[Request], Reply]] = {}

    @property
    def origin(self) -> tuple[str, int]:
        """As allow lists name it."""
        return ("127.0.0.1", self.port)

    def url(self, path: str = "/") -> str:
        """The URL of a path."""
        return f"http://127.0.0.1:{self.port}{path}"

    def paths(self) -> list[str]:
        """Every path that was asked for, in order."""
        return [request.path for request in self.requests]

    def page(self, path: str, body: bytes = b"", status: str = "200 OK", **headers: str) -> None:
        """Answer `path` like this from now on; header names with `_` for `-`."""
        self.pages[path] = response(body, status, {name.replace("_", "-"): value for name, value in headers.items()})

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        self.connections.add(writer)
        with suppress(OSError, asyncio.IncompleteReadError):
            while line := await reader.readline():
                await self._answer(line, reader, writer)
        writer.close()

    async def _answer(self, line: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        method, path, _ = line.decode("latin-1").split(" ", 2)
        headers: dict[str, str] = {}
        while (header := (await reader.readline()).decode("latin-1").strip()) != "":
            name, _, value = header.partition(":")
            headers[name.lower()] = value.strip()
        request = Request(method, path, headers)
        self.requests.append(request)
        page = self.pages.get(path.partition("?")[0], response(b"nothing here", "404 Not Found", {}))
        reply = page if isinstance(page, bytes) else page(request)  # type: ignore[arg-type]
        if isinstance(reply, bytes):
            writer.write(reply)
            await writer.drain()
        else:
            await reply(writer)  # type: ignore[misc]


def response(body: bytes, status: str = "200 OK", headers: Mapping[str, str] | None = None) -> bytes:
    """Return a whole HTTP/1.1 response."""
    lines = [f"HTTP/1.1 {status}", *(f"{name}: {value}" for name, value in (headers or {}).items())]
    if not any(line.lower().startswith(("content-length", "transfer-encoding")) for line in lines):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


@asynccontextmanager
async def running_site() -> AsyncGenerator[Site]:
    """Serve a site on a free port of loopback."""
    site = Site()
    server = await asyncio.start_server(site.serve, "127.0.0.1", 0)
    site.port = int(server.sockets[0].getsockname()[1])
    try:
        yield site
    finally:
        server.close()
        for writer in site.connections:
            writer.transport.abort()
        await asyncio.sleep(0)
