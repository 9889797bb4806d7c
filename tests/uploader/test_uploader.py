"""Uploads over several accounts: chosen by content, stored once, tried elsewhere where one fails."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from services.uploader import health, renditions
from services.uploader.accounts import load_accounts
from services.uploader.choice import ranking
from services.uploader.health import Health
from services.uploader.healths import Healths
from services.uploader.names import content_hash
from services.uploader.renditions import Claim, Renditions
from services.uploader.uploader import Unstored, Uploader
from shared.errors import Reject
from shared.memory import MemoryBus
from shared.topology import ACCOUNTS, RENDITIONS

DAY, NEXT_DAY = "2026/11/25", "2026/11/26"
NAMES = ("a", "b", "c", "d")
Replica = Callable[[], Uploader]


def contents(count: int) -> list[bytes]:
    return [b"rendition %d" % number for number in range(count)]


def order(data: bytes) -> list[str]:
    return ranking(content_hash(data), [(name, 1.0) for name in NAMES])


def broken(tmp_path: Path, name: str) -> Path:
    """Put a file where the account's directory should be: nothing can be stored there."""
    place = tmp_path / "objects" / name
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text("in the way")
    return place


def objects(tmp_path: Path) -> list[str]:
    return sorted(path.relative_to(tmp_path / "objects").as_posix() for path in (tmp_path / "objects").rglob("*.webp"))


def configure(tmp_path: Path, more: str = "") -> Path:
    file = tmp_path / "accounts.toml"
    file.write_text("".join(f'[[account]]\nstore = "local"\nname = "{name}"\n{more}' for name in NAMES))
    return file


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def replica(bus: MemoryBus, tmp_path: Path) -> Replica:
    """Another uploader on the same bus and the same accounts, as a second process would be."""
    file = configure(tmp_path)

    def start() -> Uploader:
        accounts = load_accounts(file, data=tmp_path, public_url="http://127.0.0.1")
        return Uploader(accounts, renditions=bus.bucket(RENDITIONS), healths=bus.bucket(ACCOUNTS))

    return start


async def test_a_rendition_goes_to_the_account_that_its_content_chooses(replica: Replica, tmp_path: Path) -> None:
    data = b"rendition"
    placement = await replica().upload(data, "image/webp", DAY)
    assert placement.account == order(data)[0]
    assert (placement.created, placement.http_code, placement.failed_accounts) == (True, 201, ())
    name = f"{DAY}/{content_hash(data)}.webp"
    assert placement.url == f"http://127.0.0.1/img/{placement.account}/{name}"
    assert objects(tmp_path) == [f"{placement.account}/{name}"]


async def test_the_same_bytes_have_the_same_url_on_another_day_and_replica(replica: Replica, tmp_path: Path) -> None:
    first = await replica().upload(b"rendition", "image/webp", DAY)
    again = await replica().upload(b"rendition", "image/webp", NEXT_DAY)
    assert (again.url, again.created, again.http_code) == (first.url, False, 200)
    assert len(objects(tmp_path)) == 1


async def test_the_same_bytes_at_once_on_many_replicas_are_stored_once(replica: Replica, tmp_path: Path) -> None:
    replicas = [replica() for _ in range(4)]
    days = [DAY, NEXT_DAY]
    placements = await asyncio.gather(
        *(replicas[number % 4].upload(b"rendition", "image/webp", days[number % 2]) for number in range(16))
    )
    assert len({placement.url for placement in placements}) == 1
    assert Counter(placement.created for placement in placements) == {True: 1, False: 15}
    assert len(objects(tmp_path)) == 1


async def test_renditions_spread_over_the_accounts(replica: Replica) -> None:
    uploader = replica()
    placements = await asyncio.gather(*(uploader.upload(data, "image/webp", DAY) for data in contents(400)))
    shares = Counter(placement.account for placement in placements)
    assert sorted(shares) == list(NAMES)
    assert all(70 < share < 130 for share in shares.values())


async def test_where_an_account_fails_the_next_one_of_the_ranking_takes_it(replica: Replica, tmp_path: Path) -> None:
    data = b"rendition"
    first, second, *_ = order(data)
    broken(tmp_path, first)
    placement = await replica().upload(data, "image/webp", DAY)
    assert (placement.account, placement.failed_accounts) == (second, (first,))


async def test_an_account_that_keeps_failing_is_left_alone_by_all_replicas(replica: Replica, tmp_path: Path) -> None:
    place = broken(tmp_path, "a")
    one, other = replica(), replica()
    first_choice_a = [data for data in contents(60) if order(data)[0] == "a"]
    placements = [await one.upload(data, "image/webp", DAY) for data in first_choice_a[:6]]
    assert [placement.failed_accounts for placement in placements] == [("a",)] * 3 + [()] * 3
    place.unlink()
    placement = await other.upload(first_choice_a[6], "image/webp", DAY)
    assert placement.account != "a"


async def test_an_account_that_is_well_again_gets_its_share_again(
    replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FIRST_PAUSE", 0.05)
    place = broken(tmp_path, "a")
    uploader = replica()
    first_choice_a = [data for data in contents(60) if order(data)[0] == "a"]
    for data in first_choice_a[:3]:
        await uploader.upload(data, "image/webp", DAY)
    place.unlink()
    await asyncio.sleep(0.1)
    placements = [await uploader.upload(data, "image/webp", DAY) for data in first_choice_a[3:6]]
    assert [placement.account for placement in placements] == ["a"] * 3


async def test_a_half_open_breaker_lets_one_upload_try(
    replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "FIRST_PAUSE", 0.05)
    broken(tmp_path, "a")
    uploader, other = replica(), replica()
    first_choice_a = [data for data in contents(200) if order(data)[0] == "a"]
    for data in first_choice_a[:3]:
        await uploader.upload(data, "image/webp", DAY)
    await asyncio.sleep(0.1)
    placements = await asyncio.gather(
        *(
            (uploader, other)[number % 2].upload(data, "image/webp", DAY)
            for number, data in enumerate(first_choice_a[3:13])
        )
    )
    assert sum("a" in placement.failed_accounts for placement in placements) == 1


async def test_where_no_account_can_take_it_it_is_for_later_and_says_why(replica: Replica, tmp_path: Path) -> None:
    places = [broken(tmp_path, name) for name in NAMES]
    uploader = replica()
    for _ in range(3):
        with pytest.raises(Unstored, match=r"a: .*Not a directory") as refused:
            await uploader.upload(b"rendition", "image/webp", DAY)
        assert sorted(refused.value.failed_accounts) == list(NAMES)
    assert "a: breaker open" in await uploader.unready()
    with pytest.raises(Unstored) as caught:
        await uploader.upload(b"rendition", "image/webp", DAY)
    assert caught.value.failed_accounts == ()
    assert caught.value.after is not None
    assert 1 <= caught.value.after <= 5
    for place in places:
        place.unlink()


async def test_what_could_not_be_stored_is_stored_later(replica: Replica, tmp_path: Path) -> None:
    places = [broken(tmp_path, name) for name in NAMES]
    uploader = replica()
    with pytest.raises(Unstored):
        await uploader.upload(b"rendition", "image/webp", DAY)
    for place in places:
        place.unlink()
    placement = await uploader.upload(b"rendition", "image/webp", DAY)
    assert (placement.account, placement.created) == (order(b"rendition")[0], True)
    assert await uploader.unready() == ""


async def test_an_account_is_never_filled_over_its_capacity(bus: MemoryBus, tmp_path: Path) -> None:
    file = configure(tmp_path, 'capacity = "100 B"\n')
    accounts = load_accounts(file, data=tmp_path, public_url="http://127.0.0.1")
    uploader = Uploader(accounts, renditions=bus.bucket(RENDITIONS), healths=bus.bucket(ACCOUNTS))
    for number in range(12):
        await uploader.upload(b"%030d" % number, "image/webp", DAY)
    with pytest.raises(Unstored, match="no room left"):
        await uploader.upload(b"%030d" % 12, "image/webp", DAY)
    assert Counter(name[0] for name in objects(tmp_path)) == dict.fromkeys(NAMES, 3)


async def test_what_is_no_image_is_rejected(replica: Replica) -> None:
    with pytest.raises(Reject, match="only images"):
        await replica().upload(b"<script>", "text/html", DAY)


async def test_a_rendition_that_a_dead_replica_stored_is_found_and_not_stored_elsewhere(
    bus: MemoryBus, replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renditions, "LEASE_SECONDS", 0.2)
    data = b"rendition"
    account, name = order(data)[2], f"{DAY}/{content_hash(data)}.webp"
    dead = await Renditions(bus.bucket(RENDITIONS)).claim(content_hash(data), name, account)
    assert isinstance(dead, Claim)
    await replica().accounts[account].store.put(name, data, "image/webp")
    placement = await replica().upload(data, "image/webp", NEXT_DAY)
    assert (placement.account, placement.created) == (account, False)
    assert objects(tmp_path) == [f"{account}/{name}"]


async def test_what_a_dead_replica_stored_is_found_also_where_its_account_takes_nothing_now(
    bus: MemoryBus, replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renditions, "LEASE_SECONDS", 0.2)
    data = b"rendition"
    account, name = order(data)[0], f"{DAY}/{content_hash(data)}.webp"
    await Renditions(bus.bucket(RENDITIONS)).claim(content_hash(data), name, account)
    await replica().accounts[account].store.put(name, data, "image/webp")
    full = Health(closed_at=time.time() + 60, failures=3)
    await Healths(bus.bucket(ACCOUNTS)).change(account, lambda _: full)
    assert (await replica().upload(data, "image/webp", NEXT_DAY)).account == account
    assert objects(tmp_path) == [f"{account}/{name}"]


async def test_a_replica_that_dies_after_a_failover_leaves_word_where_it_went(
    replica: Replica, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renditions, "LEASE_SECONDS", 0.2)
    data = b"rendition"
    first, second, *_ = order(data)
    place = broken(tmp_path, first)
    dying = asyncio.create_task(replica().upload(data, "image/webp", DAY))
    async with asyncio.timeout(5):
        while not objects(tmp_path):  # noqa: ASYNC110 - the disk sends no event
            await asyncio.sleep(0)
    dying.cancel()
    place.unlink()
    assert (await replica().upload(data, "image/webp", DAY)).account == second
    assert len(objects(tmp_path)) == 1


async def test_the_use_of_accounts_is_shared_and_survives_a_restart(bus: MemoryBus, replica: Replica) -> None:
    uploader = replica()
    placement = await uploader.upload(b"rendition", "image/webp", DAY)
    await uploader.close()
    known = await Healths(bus.bucket(ACCOUNTS)).read(placement.account)
    assert (known.objects, known.bytes) == (1, 9)


async def test_an_upload_asked_again_is_told_again_that_it_made_the_object(replica: Replica, tmp_path: Path) -> None:
    first = await replica().upload(b"rendition", "image/webp", DAY, "image:1")
    assert (first.created, first.http_code) == (True, 201)
    assert await replica().upload(b"rendition", "image/webp", NEXT_DAY, "image:1") == first
    assert len(objects(tmp_path)) == 1


async def test_another_upload_of_the_same_bytes_made_nothing(replica: Replica) -> None:
    await replica().upload(b"rendition", "image/webp", DAY, "image:1")
    for asker in ("image:2", "twin:1", ""):
        placement = await replica().upload(b"rendition", "image/webp", DAY, asker)
        assert (placement.created, placement.http_code) == (False, 200)


@pytest.mark.parametrize(("asker", "created"), [("image:1", True), ("twin:1", False)])
async def test_what_a_replica_stored_before_it_died_was_made_by_whom_it_was_for(
    replica: Replica,
    monkeypatch: pytest.MonkeyPatch,
    asker: str,
    created: bool,
) -> None:
    monkeypatch.setattr(renditions, "LEASE_SECONDS", 0.2)
    data = b"rendition"
    account, name = order(data)[0], f"{DAY}/{content_hash(data)}.webp"
    uploader = replica()
    dead = await uploader.renditions.claim(content_hash(data), name, account, "image:1")
    assert isinstance(dead, Claim)
    await uploader.accounts[account].store.put(name, data, "image/webp")
    assert (await replica().upload(data, "image/webp", NEXT_DAY, asker)).created == created
