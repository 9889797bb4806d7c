"""A service that works on strangers' input: an actor, its outbound client, and the sandboxes that it works in."""

from collections.abc import Sequence
from typing import Any

from shared.actor import Actor
from shared.sandbox import Sandbox
from shared.web import Web


class Working:
    """See `service.Running`."""

    def __init__(self, actor: Actor, web: Web, sandboxes: Sequence[Sandbox[Any]]) -> None:
        self._actor = actor
        self._web = web
        self._sandboxes = sandboxes

    def not_ready(self) -> str:
        """See `service.Running`."""
        return ""

    async def drain(self) -> None:
        """See `service.Running`."""
        await self._actor.drain()

    async def abort(self) -> None:
        """See `service.Running`."""
        await self._actor.abort()
        for sandbox in self._sandboxes:
            await sandbox.close()
        await self._web.close()
