"""The accounts as a person or a dashboard wants to see them: health, use, remaining rate."""

import math
import time

import msgspec

from services.uploader import health as rules
from services.uploader.accounts import Account, Accounts
from services.uploader.healths import Healths
from shared import metrics


class AccountRow(msgspec.Struct, frozen=True):
    """One account now."""

    name: str
    store: str  # local, s3, github
    weight: float
    objects: int
    bytes: int
    capacity: float | None  # bytes; None: as much as the store takes
    writes_left: int | None  # of its rate; None: no limit
    breaker: str  # closed, open, half-open
    obstacle: str  # why it cannot take an object now; empty: it can


async def accounts_table(accounts: Accounts, healths: Healths) -> list[AccountRow]:
    """Return a row for each account, in the file's order."""
    return [await _row(account, healths) for account in accounts]


def show(rows: list[AccountRow]) -> None:
    """Set the accounts' gauges."""
    metrics.ACCOUNTS_ABLE.set(sum(not row.obstacle for row in rows))
    for row in rows:
        metrics.ACCOUNT_BREAKER.labels(row.name).set(row.breaker != "closed")
        metrics.ACCOUNT_BYTES.labels(row.name).set(row.bytes)
        if row.writes_left is not None:
            metrics.ACCOUNT_RATE.labels(row.name).set(row.writes_left)


async def _row(account: Account, healths: Healths) -> AccountRow:
    health, now = await healths.read(account.name), time.time()
    breaker = "closed"
    if rules.is_half_open(health):
        breaker = "open" if health.closed_at > now else "half-open"
    return AccountRow(
        name=account.name,
        store=str(account.settings.__struct_config__.tag),
        weight=account.settings.weight,
        objects=health.objects,
        bytes=health.bytes,
        capacity=None if account.capacity == math.inf else account.capacity,
        writes_left=await account.store.rate_left(),
        breaker=breaker,
        obstacle=rules.obstacle(health, now, size=0, capacity=account.capacity),
    )
