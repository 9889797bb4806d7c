"""Fetch every vector with real sockets in a network where all addresses are our own listener's.

    unshare --map-root-user --net python tests/shared/ssrf_network.py

Prints how many connections private addresses got; exits 1 where a public control got none.
"""

import asyncio
import ipaddress
import subprocess
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from services.fetcher.poll import get
from services.fetcher.settings import FetcherSettings
from shared.errors import HalftoneError
from shared.guard import is_public
from shared.web import Web
from tests.servers import response
from tests.shared.ssrf_vectors import CONTROLS, VECTORS, Dns

PORTS = (22, 80, 443, 4222, 8080)


def route_everything_here() -> None:
    """Make every address of both families this machine's own."""
    for command in ("link set lo up", "route add local default dev lo", "-6 route add local default dev lo"):
        subprocess.run(["ip", *command.split()], check=True)


async def main() -> int:
    """Run all vectors directly and as redirects; return the exit code."""
    reached: Counter[str] = Counter()
    target = ""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        address = str(ipaddress.ip_address(writer.get_extra_info("sockname")[0].partition("%")[0]))
        reached[address] += 1
        with suppress(OSError, asyncio.IncompleteReadError):
            head = await reader.readuntil(b"\r\n\r\n")
            away = {"Location": target.encode().decode("latin-1")} if b"/start" in head else {}
            writer.write(response(b"", "302 Found" if away else "200 OK", {**away, "Connection": "close"}))
            await writer.drain()
        writer.close()

    for port in PORTS:
        await asyncio.start_server(answer, ["0.0.0.0", "::"], port)
    async with Web(resolver=Dns()) as web:
        for target in VECTORS:
            for url in (target, "http://93.184.216.34/start"):
                with suppress(HalftoneError):
                    await get(web, FetcherSettings(), url, {})
        private = sum(count for address, count in reached.items() if not is_public(address))
        for url in CONTROLS:
            before = reached.total()
            await get(web, FetcherSettings(), url, {})
            if reached.total() == before:
                print(f"not reached: {url}")  # noqa: T201 - the script's result
                return 1
    print(f"vectors: {len(VECTORS)}, connections to public addresses: {reached.total() - private}")  # noqa: T201
    print(f"private connections: {private}")  # noqa: T201
    return 1 if private else 0


if __name__ == "__main__":
    route_everything_here()
    sys.exit(asyncio.run(main()))
