"""No URL, however written, redirected to or resolved, makes us connect to what is not on the public Internet."""

import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import httpcore
import pytest

from services.fetcher.poll import get
from services.fetcher.settings import FetcherSettings
from services.transcoder.download import Limits, download
from services.transcoder.hints import Hints
from shared.errors import HalftoneError
from shared.guard import Blocked, Unreachable, is_public
from shared.memory import MemoryBus
from shared.messages import ImageJob
from shared.web import Web
from tests.servers import response
from tests.shared.ssrf_vectors import CONTROLS, NAMES, VECTORS, Dns

Fetch = Callable[[Web, str], Awaitable[object]]
HARMLESS = response(b"\x89PNG\r\n\x1a\n" + bytes(50))


class CountingBackend(httpcore.AsyncNetworkBackend):
    """A network on which every address answers, and that knows which were connected to."""

    def __init__(self, answer: bytes = HARMLESS) -> None:
        self.connected: list[str] = []
        self._answer = answer

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore's signature
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        del port, timeout, local_address, socket_options
        self.connected.append(host)
        return httpcore.AsyncMockStream([self._answer])

    async def sleep(self, seconds: float) -> None:
        raise AssertionError(seconds)


async def fetch_feed(web: Web, url: str) -> object:
    return await get(web, FetcherSettings(), url, {})


async def fetch_image(web: Web, url: str) -> object:
    job = ImageJob(image="0" * 32, source=url, referer="http://public.example/article")
    return await download(web, Hints(MemoryBus()), job, [], Limits(max_bytes=1000, seconds=5))


both = pytest.mark.parametrize("fetch", [fetch_feed, fetch_image])


def test_there_are_enough_vectors() -> None:
    assert len(set(VECTORS)) >= 100


@both
@pytest.mark.parametrize("url", VECTORS)
async def test_a_private_target_is_never_connected_to(fetch: Fetch, url: str) -> None:
    backend = CountingBackend()
    async with Web(resolver=Dns(), backend=backend) as web:
        with pytest.raises(HalftoneError):
            await fetch(web, url)
    assert backend.connected == []


@both
@pytest.mark.parametrize("url", VECTORS)
async def test_a_redirect_to_a_private_target_is_not_followed(fetch: Fetch, url: str) -> None:
    redirect = response(b"", "302 Found", {"Location": url.encode().decode("latin-1")})
    backend = CountingBackend(redirect)
    async with Web(resolver=Dns(), backend=backend) as web:
        with pytest.raises(HalftoneError):
            await fetch(web, "http://93.184.216.34/start")
    assert {address for address in backend.connected if not is_public(address)} == set()


@both
@pytest.mark.parametrize("url", CONTROLS)
async def test_a_public_target_is_connected_to(fetch: Fetch, url: str) -> None:
    backend = CountingBackend()
    async with Web(resolver=Dns(), backend=backend) as web:
        await fetch(web, url)
    assert len(backend.connected) == 1


@both
@pytest.mark.parametrize("url", [url for url in VECTORS if url.startswith("http://")])
async def test_a_proxy_is_not_asked_for_a_private_target(fetch: Fetch, url: str) -> None:
    del fetch
    backend = CountingBackend()
    async with Web(resolver=Dns(), backend=backend, proxies=["http://10.9.9.9:3128"]) as web:
        with pytest.raises((Blocked, Unreachable)):
            await web.get(url, max_bytes=1000, seconds=5, proxy="http://10.9.9.9:3128")
    assert backend.connected == []


async def test_a_proxy_that_a_stranger_names_must_be_public_itself() -> None:
    backend = CountingBackend()
    async with Web(resolver=Dns(), backend=backend) as web:
        with pytest.raises(Blocked):
            await web.get("http://public.example/", max_bytes=1000, seconds=5, proxy="http://127.0.0.1:3128")
    assert backend.connected == []


async def test_the_address_that_was_checked_is_the_one_connected_to() -> None:
    dns = Dns({"rebinding.example": [["93.184.216.34"], ["127.0.0.1"]]})
    backend = CountingBackend(response(HARMLESS, headers={"Connection": "close"}))
    async with Web(resolver=dns, backend=backend) as web:
        await web.get("http://rebinding.example/", max_bytes=1000, seconds=5)
        with pytest.raises(Blocked):
            await web.get("http://rebinding.example/", max_bytes=1000, seconds=5)
    assert backend.connected == ["93.184.216.34"]


async def test_a_redirect_to_the_same_name_with_another_answer_is_refused() -> None:
    dns = Dns({"rebinding.example": [["93.184.216.34"], ["169.254.169.254"]]})
    redirect = response(b"", "302 Found", {"Location": "/again", "Connection": "close"})
    backend = CountingBackend(redirect)
    async with Web(resolver=dns, backend=backend) as web:
        with pytest.raises(Blocked):
            await web.get("http://rebinding.example/", max_bytes=1000, seconds=5)
    assert backend.connected == ["93.184.216.34"]


def test_every_name_among_the_vectors_has_a_private_answer() -> None:
    assert {name for name, answers in NAMES.items() if all(map(is_public, answers[-1]))} == set()


@pytest.mark.live
@pytest.mark.skipif(sys.platform != "linux", reason="network namespaces are Linux's")
def test_in_a_network_of_its_own_where_every_address_answers_none_but_public_ones_are_connected_to() -> None:
    """With real sockets: all of IPv4 and IPv6 is routed to a listener that counts."""
    script = Path(__file__).with_name("ssrf_network.py")
    command = ["unshare", "--map-root-user", "--net", sys.executable, str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert (done.returncode, done.stdout.splitlines()[-1:]) == (0, ["private connections: 0"]), done.stderr
