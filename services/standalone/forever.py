"""`halftone up`: the system until somebody stops it."""

import asyncio
import sys
from typing import Never

from services.standalone.system import Options, System, running
from shared.errors import Misconfigured

LOOK_SECONDS = 0.2


async def run_for_ever(options: Options) -> Never:
    """Run the system until this task is cancelled.

    Raises:
        Misconfigured: It cannot run as configured.
    """
    async with running(options) as system:
        tell(system)
        await wait(system)


async def wait(system: System) -> Never:
    """Wait for ever, or until a service cannot go on.

    Raises:
        Misconfigured: One cannot, as configured.
    """
    while not system.supervisor.refusal:  # noqa: ASYNC110 - the supervisor looks at processes, not at events
        await asyncio.sleep(LOOK_SECONDS)
    raise Misconfigured(system.supervisor.refusal)


def tell(system: System) -> None:
    """Say where everything is."""
    lines = [f"Halftone is up: {system.url}", *(f"  {name:<11} {url}/metrics" for name, url in system.ops.items())]
    print("\n".join(lines), file=sys.stderr, flush=True)
