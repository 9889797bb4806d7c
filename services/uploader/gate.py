"""Which accounts may be tried now, and what a try teaches about the account."""

import time

from services.uploader import health as rules
from services.uploader.accounts import Account, Accounts
from services.uploader.choice import ranking
from services.uploader.health import Health
from services.uploader.healths import Healths
from services.uploader.stores.store import Full, RateLimited
from shared.errors import Retry

UNSTATED_PAUSE = 60.0  # seconds, for an account that asks for a pause and does not say how long


class Gate:
    """The accounts with their healths."""

    def __init__(self, accounts: Accounts, healths: Healths) -> None:
        self._accounts = accounts
        self._healths = healths

    def ranked(self, content: str, first: str) -> list[Account]:
        """Return all accounts in the content's order; `first`, where it still is one, before the others."""
        names = ranking(content, [(account.name, account.settings.weight) for account in self._accounts])
        names.sort(key=lambda name: name != first)
        return [self._accounts[name] for name in names]

    async def first(self, content: str, size: int) -> str:
        """Return the name of the account that will probably take the content, "" where none can."""
        for account in self.ranked(content, ""):
            if not await self.obstacle(account, size):
                return account.name
        return ""

    async def obstacle(self, account: Account, size: int) -> str:
        """Return why the account may not be tried with `size` bytes now, "" where it may."""
        health = await self._healths.read(account.name)
        return rules.obstacle(health, time.time(), size=size, capacity=account.capacity)

    async def admit(self, account: Account, size: int) -> str:
        """Like `obstacle`, but of all who ask about a half-open breaker only one gets through."""
        obstacle = await self.obstacle(account, size)
        if obstacle or not rules.is_half_open(await self._healths.read(account.name)):
            return obstacle
        now = time.time()
        after = await self._healths.change(
            account.name, lambda health: rules.probing(health, now) if health.closed_at <= now else health
        )
        return "" if after.closed_at == now + rules.PROBE_SECONDS else "breaker half-open: being tried"

    async def stored(self, account: Account, size: int) -> None:
        """Note that an object of `size` bytes came into the account; 0: it was there."""
        if size:
            self._healths.add(account.name, objects=1, size=size)
        if (await self._healths.read(account.name)).failures:
            await self._healths.change(account.name, rules.succeeded)

    async def failed(self, account: Account, error: Retry) -> None:
        """Note why the account did not take an object."""
        now = time.time()

        def learnt(health: Health) -> Health:
            match error:
                case RateLimited():
                    return rules.limited(health, now, error.after or UNSTATED_PAUSE)
                case Full():
                    return rules.filled(health, now, str(error))
                case _:
                    return rules.failed(health, now, str(error))

        await self._healths.change(account.name, learnt)

    async def soonest(self) -> float:
        """Return in how many seconds the first account may be asked again, at least one second."""
        free = [rules.free_at(await self._healths.read(account.name)) for account in self._accounts]
        return max(1.0, min(free) - time.time())
