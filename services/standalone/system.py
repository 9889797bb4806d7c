"""The whole system on one machine: broker, streams and the four services, each a process, on one data directory."""

import asyncio
import errno
import fcntl
import os
import socket
import ssl
import sys
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import msgspec

from services.api.settings import ApiSettings, reachable_at
from services.standalone import broker as embedded
from services.standalone import full_disk
from services.standalone.stopping import unhurried
from services.standalone.supervisor import Supervisor
from shared.errors import Misconfigured
from shared.nats import NatsBus, provision
from shared.settings import load

SERVICES = ("uploader", "transcoder", "fetcher", "api")
START_SECONDS = 60.0
DRAIN_SECONDS = 2.0  # the supervisor waits three


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """How to run the system."""

    data: Path
    host: str = "127.0.0.1"  # where the api listens
    port: int = 8080
    public_port: int = 8080  # the port in the URLs of what local accounts store
    allow_hosts: str = ""  # HOST:PORT … that may be fetched from although they are not public
    quiet: bool = False  # the services' logs go to files only


class System(msgspec.Struct, frozen=True):
    """The running system."""

    url: str  # of the api
    bus: NatsBus
    ops: dict[str, str]  # service → where it is watched
    supervisor: Supervisor


@asynccontextmanager
async def running(options: Options) -> AsyncGenerator[System]:
    """Run the system while the block runs.

    Raises:
        Misconfigured: The data directory or a port cannot be used, or a service does not start.
    """
    _check_port(options)
    logs = _data_folder(options.data)
    with _locked(options.data):
        await _check_token(options)
        broker = embedded.prepare(options.data)
        supervisor = Supervisor()
        bus = NatsBus("standalone")
        try:
            process = supervisor.add("broker", broker.command, {}, logs / "broker.log")
            async with full_disk.watched(process, broker.config.parent):
                await bus.connect(broker.url, user=embedded.USER, password=broker.password, patience=START_SECONDS)
                await provision(bus)
                ops = _start_services(options, broker, supervisor, logs)
                system = System(reachable_at(options.host, options.port), bus, ops, supervisor)
                await _ready(system)
                yield system
        finally:
            await unhurried(_stop(supervisor, bus))


async def _stop(supervisor: Supervisor, bus: NatsBus) -> None:
    """End the services, then the broker, which takes what they give back."""
    await asyncio.gather(supervisor.stop(), bus.close(), return_exceptions=True)
    await supervisor.stop_first()


def _check_port(options: Options) -> None:
    """Say at once what the api would say only after everything else has started."""
    try:
        with socket.create_server((options.host, options.port)):
            pass
    except OSError as error:
        taken = error.errno == errno.EADDRINUSE
        reason = "another program listens there" if taken else str(error.strerror or error)
        advice = "--port" if taken else "--host"
        raise Misconfigured(
            f"cannot listen on {options.host}:{options.port}: {reason}; choose another with {advice}"
        ) from error


async def _check_token(options: Options) -> None:
    """Likewise, where others than this machine are to be served."""
    if options.host != "127.0.0.1":
        from services.api.database import open_database  # noqa: PLC0415 - rarely needed, and they take a while
        from services.api.doorkeeper import check_address  # noqa: PLC0415

        database = await open_database(load(ApiSettings).database_url, options.data)
        try:
            await check_address(database, options.host)
        finally:
            await database.close()


def _data_folder(data: Path) -> Path:
    logs = data / "logs"
    try:
        logs.mkdir(parents=True, exist_ok=True)
        (data / ".lock").touch()
    except OSError as error:
        raise Misconfigured(f"cannot write the data directory {data}: {error.strerror}") from error
    return logs


@contextmanager
def _locked(data: Path) -> Generator[None]:
    """Hold the data directory: two brokers on one would destroy each other's streams."""
    with (data / ".lock").open("w", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise Misconfigured(
                f"the data directory {data} is in use by another halftone: stop that one, or use --data"
            ) from error
        yield


def _start_services(options: Options, broker: embedded.Broker, supervisor: Supervisor, logs: Path) -> dict[str, str]:
    ops: dict[str, str] = {}
    for name in SERVICES:
        port = embedded.free_port()
        environment = _environment(options, broker, name, port)
        command = [sys.executable, "-m", f"services.{name}"]
        supervisor.add(name, command, environment, logs / f"{name}.log" if options.quiet else None)
        ops[name] = f"http://127.0.0.1:{port}"
    return ops


def _environment(options: Options, broker: embedded.Broker, name: str, ops_port: int) -> Mapping[str, str]:
    return {
        "HALFTONE_NATS_URL": broker.url,
        "HALFTONE_NATS_USER": embedded.USER,
        "HALFTONE_NATS_PASSWORD": broker.password,
        "HALFTONE_INSTANCE": f"{name}-1",
        "HALFTONE_OPS_HOST": "127.0.0.1",
        "HALFTONE_OPS_PORT": str(ops_port),
        "HALFTONE_DRAIN_SECONDS": str(DRAIN_SECONDS),
        "HALFTONE_LOG_FORMAT": os.environ.get("HALFTONE_LOG_FORMAT", "text" if sys.stderr.isatty() else "json"),
        "HALFTONE_DATA": str(options.data),
        "HALFTONE_ALLOW_HOSTS": options.allow_hosts,
        "HALFTONE_HTTP_HOST": options.host,
        "HALFTONE_HTTP_PORT": str(options.port),
        "HALFTONE_PUBLIC_URL": os.environ.get("HALFTONE_PUBLIC_URL") or reachable_at(options.host, options.public_port),
    }


async def _ready(system: System) -> None:
    """Wait until every service says that it can work.

    Raises:
        Misconfigured: One of them does not.
    """
    name = ""
    async with plain_client() as client:
        try:
            async with asyncio.timeout(START_SECONDS):
                for name, url in system.ops.items():  # noqa: B007 - told if it is the one that fails
                    while not await _is_ready(client, url):
                        if reason := system.supervisor.refusal or system.supervisor.stumbling:
                            raise Misconfigured(reason)
                        await asyncio.sleep(0.05)
        except TimeoutError:
            raise Misconfigured(f"{name} is not ready after {START_SECONDS:.0f} s") from None


def plain_client(base_url: str = "", *, timeout: float = 5) -> httpx.AsyncClient:
    """Return a client for this machine's own services.

    They speak plain HTTP: it loads no certificates, which would take as long as mirroring a small image.
    """
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    return httpx.AsyncClient(base_url=base_url, verify=tls, trust_env=False, timeout=timeout)


async def _is_ready(client: httpx.AsyncClient, url: str) -> bool:
    try:
        return (await client.get(f"{url}/readyz")).is_success
    except httpx.TransportError:
        return False
