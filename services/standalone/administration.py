"""A connection for an operator's tools: to the broker that the environment names, else to the embedded one."""

import re
import socket
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

from shared.errors import Misconfigured
from shared.nats import NatsBus
from shared.settings import Settings, load

PATIENCE = 10.0  # seconds: a person is waiting
_EMBEDDED = re.compile(r'listen: "(?P<address>.+?)".*user: (?P<user>\w+), password: "(?P<password>.+?)"', re.DOTALL)


@asynccontextmanager
async def administration(data: Path, *, patience: float = PATIENCE) -> AsyncGenerator[NatsBus]:
    """Be connected while the block runs.

    Raises:
        Misconfigured: No broker answers, or it does not know us.
    """
    settings = load(Settings)
    if not settings.nats_user and (embedded := _embedded(data)):
        settings = embedded
        if not _listens(embedded.nats_url):
            raise Misconfigured(f"nothing is running on {data}: start `halftone up --data {data}` first")
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


def _embedded(data: Path) -> Settings | None:
    """Return how the embedded broker of `data` is reached, None where there never was one."""
    file = data / "broker" / "nats-server.conf"
    found = _EMBEDDED.search(file.read_text(encoding="utf-8")) if file.exists() else None
    if not found:
        return None
    return Settings(nats_url=f"nats://{found['address']}", nats_user=found["user"], nats_password=found["password"])


def _listens(url: str) -> bool:
    address = urlsplit(url)
    with socket.socket() as probe:
        return probe.connect_ex((address.hostname or "", address.port or 0)) == 0
