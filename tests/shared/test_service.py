"""The service runner, as processes on a real broker: started, told to stop, misconfigured, without a broker."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from services.standalone import broker as embedded
from shared.messages import FeedDue, FeedPolled, decode
from shared.nats import NatsBus
from shared.topology import API, FETCHER
from tests.conftest import provisioned_bus

ROOT = Path(__file__).parents[2]


class Service:
    """A tiny service in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self._url = f"http://127.0.0.1:{port}"
        self.lines: list[dict[str, Any]] = []

    async def says(self, event: str) -> dict[str, Any]:
        """Wait for a line of its log."""
        assert self._process.stderr is not None
        async with asyncio.timeout(10):
            async for line in self._process.stderr:
                self.lines.append(msgspec.json.decode(line))
                if self.lines[-1]["event"] == event:
                    return self.lines[-1]
        raise AssertionError(f"never said {event!r} but {self.lines}")

    async def ready(self, expected: tuple[int, str]) -> tuple[int, str]:
        """What /readyz answers, once it is as expected or after five seconds."""
        answer = (0, "")
        async with httpx.AsyncClient(trust_env=False) as client:
            for _ in range(50):
                try:
                    got = await client.get(f"{self._url}/readyz")
                    answer = (got.status_code, got.text.strip())
                except httpx.TransportError:
                    pass
                if answer == expected:
                    break
                await asyncio.sleep(0.1)
        return answer

    async def healthy(self) -> int:
        async with httpx.AsyncClient(trust_env=False) as client:
            return (await client.get(f"{self._url}/healthz")).status_code

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    async def ended(self) -> int:
        """Wait until it has ended; its exit code."""
        _, rest = await asyncio.wait_for(self._process.communicate(), 10)
        self.lines += [msgspec.json.decode(line) for line in rest.splitlines()]
        assert self._process.returncode is not None
        return self._process.returncode


async def spawn(**settings: str) -> asyncio.subprocess.Process:
    environment = {f"HALFTONE_{name.upper()}": value for name, value in settings.items()}
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.shared.tiny_service"),
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], **environment},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )


@asynccontextmanager
async def tiny(broker: embedded.Broker, **settings: str) -> AsyncGenerator[Service]:
    port = embedded.free_port()
    access = {"nats_url": broker.url, "nats_user": embedded.USER, "nats_password": broker.password}
    process = await spawn(**access, ops_port=str(port), **settings)
    try:
        yield Service(process, port)
    finally:
        if process.returncode is None:
            process.kill()
            await process.communicate()


async def refusal(**settings: str) -> tuple[int | None, list[str]]:
    """How a service that cannot start ends: its exit code, and the lines that it leaves."""
    process = await spawn(**settings)
    _, errors = await asyncio.wait_for(process.communicate(), 10)
    return process.returncode, errors.decode().splitlines()


async def test_a_service_told_to_stop_finishes_its_message_and_leaves_the_rest(
    broker: embedded.Broker, nats_bus: NatsBus
) -> None:
    async with tiny(broker, work_seconds="0.5", concurrency="1") as service:
        for feed in (1, 2):
            await nats_bus.publish(FeedDue(feed=feed, request_id=f"r{feed}"))
        await service.says("took")
        service.stop()
        assert await service.ended() == 0
    assert [line["event"] for line in service.lines][-2:] == ["draining", "stopped"]
    delivery = await nats_bus.mailbox(API).receive()
    assert delivery is not None
    assert decode(delivery.data) == FeedPolled(request_id="r1", feed=1, asked=True, ok=True)
    assert await nats_bus.scheduled() == {2}


async def test_what_is_not_done_in_time_is_given_back_at_once(broker: embedded.Broker, nats_bus: NatsBus) -> None:
    async with tiny(broker, work_seconds="60", drain_seconds="0.3") as service:
        await nats_bus.publish(FeedDue(feed=7, request_id="r"))
        await service.says("took")
        service.stop()
        assert await service.ended() == 0
    assert "gave back what was not done in time" in [line["event"] for line in service.lines]
    delivery = await asyncio.wait_for(nats_bus.mailbox(FETCHER).receive(), 2)
    assert delivery is not None
    assert (delivery.subject, delivery.tries) == ("feed.due.7", 2)


async def test_every_line_of_a_polls_work_names_the_poll(broker: embedded.Broker, nats_bus: NatsBus) -> None:
    async with tiny(broker, instance="one") as service:
        await nats_bus.publish(FeedDue(feed=7, request_id="r7"))
        line = await service.says("took")
    assert {key: line[key] for key in ("service", "instance", "level", "requestId", "tries")} == {
        "service": "tiny",
        "instance": "one",
        "level": "info",
        "requestId": "r7",
        "tries": 1,
    }
    assert "requestId" not in service.lines[0]


async def test_a_service_waits_for_a_broker_that_is_not_there_yet(tmp_path: Path) -> None:
    broker = embedded.prepare(tmp_path)
    async with tiny(broker) as service:
        absent = (503, "no connection to the broker")
        assert (await service.ready(absent), await service.healthy()) == (absent, 200)
        process = embedded.start(broker, tmp_path / "log")
        try:
            assert await service.ready((200, "ready")) == (200, "ready")
            async with provisioned_bus(broker) as bus:
                await bus.publish(FeedDue(feed=7, request_id="r"))
                await service.says("took")
            process.kill()
            assert await service.ready(absent) == absent
            process.wait()
            process = embedded.start(broker, tmp_path / "log")
            assert await service.ready((200, "ready")) == (200, "ready")
        finally:
            process.kill()
            process.wait()


async def test_a_service_that_still_waits_for_its_broker_can_be_stopped(tmp_path: Path) -> None:
    async with tiny(embedded.prepare(tmp_path)) as service:
        await service.says("broker error")
        service.stop()
        assert await service.ended() == 0


async def test_a_setting_that_does_not_fit_ends_in_one_line() -> None:
    line = "halftone tiny: HALFTONE_CONCURRENCY is 'many': expected `int`, got `str`"
    assert await refusal(concurrency="many") == (os.EX_CONFIG, [line])


async def test_a_port_in_use_ends_in_one_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, lines = await refusal(ops_port=str(port))
    line = (
        f"halftone tiny: cannot listen on 127.0.0.1:{port} for /metrics: Address already in use; set HALFTONE_OPS_PORT"
    )
    assert (code, lines) == (os.EX_CONFIG, [line])


@pytest.mark.parametrize("url", ["nats://", "nats://127.0.0.1:port"])
async def test_an_address_that_is_none_ends_in_one_line(url: str) -> None:
    code, lines = await refusal(nats_url=url)
    assert (code, len(lines)) == (os.EX_CONFIG, 1)
    assert lines[0].startswith(f"halftone tiny: HALFTONE_NATS_URL is {url!r}: ")
