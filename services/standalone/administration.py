"""A connection for an operator's tools: to the broker that the environment names, else to the embedded one."""

import re
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

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
    if not settings.nats_user:
        settings = _embedded(data, settings)
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


def _embedded(data: Path, settings: Settings) -> Settings:
    """Return how the embedded broker of `data` is reached, `settings` themselves where there is none."""
    file = data / "broker" / "nats-server.conf"
    found = _EMBEDDED.search(file.read_text(encoding="utf-8")) if file.exists() else None
    if not found:
        return settings
    return Settings(nats_url=f"nats://{found['address']}", nats_user=found["user"], nats_password=found["password"])
