"""Removal of what nothing refers to."""

import os
import time
from pathlib import Path

import pytest

from services.uploader.accounts import load_accounts
from services.uploader.housekeeping import collect_garbage
from services.uploader.names import content_hash
from services.uploader.uploader import Uploader
from shared.memory import MemoryBus
from shared.topology import ACCOUNTS, RENDITIONS

DAY = 86_400.0


@pytest.fixture
def bus() -> MemoryBus:
    return MemoryBus()


@pytest.fixture
def uploader(bus: MemoryBus, tmp_path: Path) -> Uploader:
    accounts = load_accounts(None, data=tmp_path, public_url="http://127.0.0.1")
    return Uploader(accounts, renditions=bus.bucket(RENDITIONS), healths=bus.bucket(ACCOUNTS))


def objects(tmp_path: Path) -> set[str]:
    return {path.relative_to(tmp_path / "objects").as_posix() for path in tmp_path.rglob("*.webp")}


def age(tmp_path: Path, days: float) -> None:
    then = time.time() - days * DAY
    for path in tmp_path.rglob("*.webp"):
        os.utime(path, (then, then))


async def upload(uploader: Uploader, data: bytes) -> str:
    return (await uploader.upload(data, "image/webp", "2026/11/25")).url


async def test_a_dry_run_tells_and_removes_nothing(uploader: Uploader, tmp_path: Path) -> None:
    kept = await upload(uploader, b"kept")
    await upload(uploader, b"garbage")
    before = objects(tmp_path)
    collected = await collect_garbage(uploader, [kept], retention=-1)
    assert [name[11:43] for each in collected for name in each.garbage] == [content_hash(b"garbage")]
    assert sum(each.objects for each in collected) == 2
    assert objects(tmp_path) == before


async def test_what_nothing_refers_to_is_removed_and_can_be_stored_again(uploader: Uploader, tmp_path: Path) -> None:
    kept = await upload(uploader, b"kept")
    await upload(uploader, b"garbage")
    await collect_garbage(uploader, [kept, "https://elsewhere.example.org/x.png"], retention=-1, dry_run=False)
    assert [name[-37:-5] for name in objects(tmp_path)] == [content_hash(b"kept")]
    again = await uploader.upload(b"garbage", "image/webp", "2026/11/25")
    assert again.created
    assert (await uploader.upload(b"kept", "image/webp", "2026/11/25")).url == kept


async def test_young_objects_are_kept(uploader: Uploader, tmp_path: Path) -> None:
    await upload(uploader, b"young")
    await collect_garbage(uploader, [], retention=DAY, dry_run=False)
    assert len(objects(tmp_path)) == 1


async def test_old_objects_whose_bytes_came_again_lately_are_kept(uploader: Uploader, tmp_path: Path) -> None:
    await upload(uploader, b"evergreen")
    age(tmp_path, 400)
    await collect_garbage(uploader, [], retention=DAY, dry_run=False)
    assert len(objects(tmp_path)) == 1


async def test_a_second_copy_is_removed_although_its_content_is_referred_to(uploader: Uploader, tmp_path: Path) -> None:
    url = await upload(uploader, b"twice")
    (first,) = objects(tmp_path)
    account, _, name = first.partition("/")
    other = next(each for each in uploader.accounts if each.name != account)
    await other.store.put(name, b"twice", "image/webp")
    age(tmp_path, 2)
    await collect_garbage(uploader, [url], retention=DAY, dry_run=False)
    assert objects(tmp_path) == {first}


async def test_an_account_that_cannot_be_gone_through_does_not_hold_up_the_others(
    uploader: Uploader, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(20):
        await upload(uploader, b"%d" % number)
    real = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if "local-2" in path.parts:
            raise PermissionError(13, "Permission denied", str(path))
        real(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    collected = await collect_garbage(uploader, [], retention=-1, dry_run=False)
    assert [bool(each.failure) for each in collected] == [False, True, False, False]
    assert {name.partition("/")[0] for name in objects(tmp_path)} == {"local-2"}


async def test_the_use_of_an_account_is_counted_anew(uploader: Uploader) -> None:
    placement = await uploader.upload(b"kept", "image/webp", "2026/11/25")
    await collect_garbage(uploader, [placement.url], retention=-1, dry_run=False)
    health = await uploader.healths.read(placement.account)
    assert health.objects >= 1
