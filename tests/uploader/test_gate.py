"""Who may try an account."""

from pathlib import Path

import pytest
from msgspec.structs import replace

from services.uploader.accounts import Accounts, load_accounts
from services.uploader.gate import Gate
from services.uploader.health import Health, failed
from services.uploader.healths import Healths
from services.uploader.stores.store import Full, RateLimited
from shared.errors import Retry
from shared.memory import MemoryBus
from shared.topology import ACCOUNTS


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def accounts(tmp_path: Path) -> Accounts:
    return load_accounts(None, data=tmp_path, public_url="http://127.0.0.1")


def gate(bus: MemoryBus, accounts: Accounts) -> Gate:
    return Gate(accounts, Healths(bus.bucket(ACCOUNTS)))


async def open_breaker(bus: MemoryBus, account: str, *, closed_at: float) -> None:
    health = Health()
    for _ in range(3):
        health = failed(health, 0, "HTTP 500")
    await Healths(bus.bucket(ACCOUNTS)).change(account, lambda _: replace(health, closed_at=closed_at))


async def test_of_two_replicas_that_see_a_half_open_breaker_one_gets_through(
    bus: MemoryBus, accounts: Accounts
) -> None:
    await open_breaker(bus, "local-1", closed_at=1)
    one, other = gate(bus, accounts), gate(bus, accounts)
    account = accounts["local-1"]
    assert [await each.obstacle(account, 0) for each in (one, other)] == ["", ""]
    assert sorted([await each.admit(account, 0) for each in (one, other)]) == [
        "",
        "breaker half-open: being tried",
    ]


async def test_the_ranking_begins_with_the_account_that_may_have_the_bytes(bus: MemoryBus, accounts: Accounts) -> None:
    usual = [account.name for account in gate(bus, accounts).ranked("00", "")]
    last = usual[-1]
    assert [account.name for account in gate(bus, accounts).ranked("00", last)] == [last, *usual[:-1]]
    assert [account.name for account in gate(bus, accounts).ranked("00", "gone")] == usual


async def test_the_first_account_is_the_first_that_can_take_it(bus: MemoryBus, accounts: Accounts) -> None:
    usual = [account.name for account in gate(bus, accounts).ranked("00", "")]
    assert await gate(bus, accounts).first("00", 1) == usual[0]
    await open_breaker(bus, usual[0], closed_at=1e12)
    assert await gate(bus, accounts).first("00", 1) == usual[1]


@pytest.mark.parametrize(
    ("error", "obstacle"),
    [
        (RateLimited("slow down", after=30), "no rate left for 30 s"),
        (RateLimited("slow down"), "no rate left for 60 s"),
        (Full("disk full"), "breaker open for 5 s: disk full"),
        (Retry("HTTP 500"), ""),
    ],
)
async def test_what_a_failure_teaches_is_known_to_all_replicas(
    bus: MemoryBus, accounts: Accounts, error: Retry, obstacle: str
) -> None:
    await gate(bus, accounts).failed(accounts["local-1"], error)
    assert await gate(bus, accounts).obstacle(accounts["local-1"], 0) == obstacle


async def test_the_soonest_is_when_the_first_account_is_free(bus: MemoryBus, accounts: Accounts) -> None:
    one = gate(bus, accounts)
    for account, after in zip(accounts, (50, 20, 90, 70), strict=True):
        await one.failed(account, RateLimited("slow down", after=after))
    assert await one.soonest() == pytest.approx(20, abs=1)
