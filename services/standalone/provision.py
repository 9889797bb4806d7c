"""`halftone provision`: the broker's streams, consumers and buckets as the system needs them, and what changed."""

from collections.abc import Sequence
from pathlib import Path

from services.standalone.administration import administration
from shared import nats

PATIENCE = 60.0  # seconds: the broker starts at the same time


async def run_provision(data: Path, *, replicas: int, subscribers: Sequence[str], dry: bool) -> None:
    """Make them so and print a line per thing made (+) or changed (~).

    Raises:
        Misconfigured: No broker answers, or it does not let us.
    """
    async with administration(data, patience=PATIENCE) as bus:
        lines = await nats.provision(bus, replicas=replicas, subscribers=subscribers, dry=dry)
    print("\n".join(lines or ["as it should be: nothing to do"]))
