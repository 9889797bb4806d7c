"""A connection for an operator's tools: to the broker that the environment names, else to the embedded one."""

import os
import re
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

from shared.errors import Misconfigured
from shared.nats import NatsBus
from shared.settings import PREFIX, Settings, load

PATIENCE = 10.0  # seconds: a person is waiting
_EMBEDDED = re.compile(r'listen: "(?P<address>.+?)".*user: (?P<user>\w+), password: "(?P<password>.+?)"', re.DOTALL)


@asynccontextmanager
async def administration(data: Path, *, patience: float = PATIENCE) -> AsyncGenerator[NatsBus]:
    """Be connected while the block runs.

    Raises:
        Misconfigured: No broker answers, or it does not know us.
    """
    settings = load(Settings)
    if not (settings.nats_user or os.environ.get(f"{PREFIX}NATS_URL")):
        settings = embedded_broker(data)
    bus = NatsBus(f"admin@{settings.instance}")
    await bus.connect(
        settings.nats_url,
        user=settings.nats_user,
        password=settings.nats_password,
        tls_ca=settings.nats_ca,
        patience=patience,
    )
    try:
        yield bus
    finally:
        await bus.close()


def show_broker_url(data: Path) -> None:
    """Print the embedded broker's URL with its credentials, which are new with each start.

    Raises:
        Misconfigured: Nothing is running on `data`.
    """
    broker = embedded_broker(data)
    print(f"nats://{broker.nats_user}:{broker.nats_password}@{broker.nats_url.removeprefix('nats://')}")


def embedded_broker(data: Path) -> Settings:
    """Return how the embedded broker of `data` is reached.

    Raises:
        Misconfigured: Nothing is running on `data`.
    """
    file = data / "broker" / "nats-server.conf"
    found = _EMBEDDED.search(file.read_text(encoding="utf-8")) if file.exists() else None
    if not found or not _listens(found["address"]):
        raise Misconfigured(f"nothing is running on {data}: start `halftone up --data {data}` first")
    return Settings(nats_url=f"nats://{found['address']}", nats_user=found["user"], nats_password=found["password"])


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host, int(port))) == 0
