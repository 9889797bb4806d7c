"""Claims on contents."""

import asyncio
import time

import msgspec
import pytest

from services.uploader import renditions
from services.uploader.renditions import Claim, Rendition, Renditions
from shared.bus import KeyValue
from shared.errors import Retry
from shared.memory import MemoryBus
from shared.topology import RENDITIONS

URL = "https://cdn.example.org/o.webp"


@pytest.fixture
def bucket() -> KeyValue:
    return MemoryBus().bucket(RENDITIONS)


@pytest.fixture(autouse=True)
def short_lease(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(renditions, "LEASE_SECONDS", 0.4)
    monkeypatch.setattr(renditions, "RENEW_SECONDS", 0.1)
    monkeypatch.setattr(renditions, "LOOK_SECONDS", 0.02)


async def claimed(bucket: KeyValue, name: str = "first") -> Claim:
    claim = await Renditions(bucket).claim("c", name, "first choice")
    assert isinstance(claim, Claim)
    return claim


async def known(bucket: KeyValue) -> Rendition:
    entry = await bucket.get("c")
    assert entry is not None
    return msgspec.json.decode(entry.value, type=Rendition)


async def store(bucket: KeyValue) -> None:
    claim = await claimed(bucket)
    await claim.move("a")
    await claim.finish(URL)


async def test_unknown_content_is_claimed(bucket: KeyValue) -> None:
    claim = await claimed(bucket)
    assert (claim.rendition.name, claim.rendition.account, claim.inherited) == ("first", "first choice", False)


async def test_stored_content_is_answered_also_under_another_days_name(bucket: KeyValue) -> None:
    await store(bucket)
    stored = await Renditions(bucket).claim("c", "second", "other choice")
    assert isinstance(stored, Rendition)
    assert (stored.url, stored.account, stored.name) == (URL, "a", "first")


async def test_the_second_of_two_at_once_waits_for_the_firsts_url(bucket: KeyValue) -> None:
    claim = await claimed(bucket)
    other = asyncio.create_task(Renditions(bucket).claim("c", "second", "other choice"))
    async with claim.renewed():
        await asyncio.sleep(1)  # longer than the lease
        assert not other.done()
        await claim.finish(URL)
    stored = await other
    assert isinstance(stored, Rendition)
    assert stored.url == URL


async def test_a_dead_replicas_claim_is_taken_over_with_its_name_and_account(bucket: KeyValue) -> None:
    await (await claimed(bucket)).move("a")
    began = time.monotonic()
    claim = await claimed(bucket, "second")
    assert time.monotonic() - began >= 0.4
    assert (claim.rendition.name, claim.rendition.account, claim.inherited) == ("first", "a", True)


async def test_of_many_who_wait_for_a_dead_replica_one_takes_over(bucket: KeyValue) -> None:
    await claimed(bucket)

    async def upload() -> str:
        claim = await Renditions(bucket).claim("c", "second", "other choice")
        if isinstance(claim, Rendition):
            return "known"
        await claim.finish(URL)
        return "stored"

    assert sorted(await asyncio.gather(*(upload() for _ in range(5)))) == ["known"] * 4 + ["stored"]


async def test_whoever_lost_the_claim_learns_it(bucket: KeyValue) -> None:
    late = await claimed(bucket)
    await claimed(bucket)
    with pytest.raises(Retry, match="took this rendition over"):
        await late.finish(URL)


async def test_who_loses_the_claim_is_stopped_before_it_does_harm(bucket: KeyValue) -> None:
    late = await claimed(bucket)
    await claimed(bucket)
    harm = False

    async def upload() -> None:
        nonlocal harm
        async with late.renewed():
            await asyncio.sleep(1)
            harm = True

    with pytest.raises(Retry, match="took this rendition over"):
        await upload()
    assert not harm


async def test_a_cancelled_upload_stays_cancelled(bucket: KeyValue) -> None:
    claim = await claimed(bucket)

    async def upload() -> None:
        async with claim.renewed():
            await asyncio.sleep(60)

    task = asyncio.create_task(upload())
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_released_claim_is_free_at_once(bucket: KeyValue) -> None:
    await (await claimed(bucket)).release("")
    began = time.monotonic()
    await claimed(bucket)
    assert time.monotonic() - began < 0.3


async def test_an_old_renditions_use_is_remembered(bucket: KeyValue) -> None:
    await store(bucket)
    old = msgspec.structs.replace(await known(bucket), used=time.time() - 7200)
    await bucket.put("c", msgspec.json.encode(old))
    await Renditions(bucket).claim("c", "second", "other choice")
    assert time.time() - (await known(bucket)).used < 60


async def removable(bucket: KeyValue, account: str, name: str, unused_since: float) -> bool:
    async with Renditions(bucket).removing("c", account, name, unused_since=unused_since) as allowed:
        return allowed


async def test_an_object_that_was_used_lately_is_not_removed(bucket: KeyValue) -> None:
    await store(bucket)
    assert not await removable(bucket, "a", "first", time.time() - 60)
    assert (await known(bucket)).url == URL


async def test_an_unused_object_is_removed_and_its_content_forgotten(bucket: KeyValue) -> None:
    await store(bucket)
    assert await removable(bucket, "a", "first", time.time() + 60)
    assert await bucket.get("c") is None


async def test_a_second_copy_is_removed_and_the_first_stays_known(bucket: KeyValue) -> None:
    await store(bucket)
    assert await removable(bucket, "b", "first", time.time() - 60)
    assert (await known(bucket)).account == "a"


async def test_what_is_being_uploaded_is_not_removed(bucket: KeyValue) -> None:
    await claimed(bucket)
    assert not await removable(bucket, "a", "first", time.time() - 60)


async def test_an_upload_waits_while_the_same_content_is_removed(bucket: KeyValue) -> None:
    await store(bucket)
    async with Renditions(bucket).removing("c", "a", "first", unused_since=time.time() + 60):
        upload = asyncio.create_task(Renditions(bucket).claim("c", "second", "other choice"))
        await asyncio.sleep(0.6)
        assert not upload.done()
    assert isinstance(await upload, Claim)
