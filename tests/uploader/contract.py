"""What every kind of store must do; each store's test module runs this suite on the real thing."""

import asyncio
import time
from functools import partial

import pytest

from services.uploader.names import content_hash, object_name
from services.uploader.stores.store import Store, StoredObject
from shared.errors import Reject

DATA = b"RIFF\x10\x00\x00\x00WEBPVP8 \xff\x00\x01 not really"
NAME = object_name(content_hash(DATA), "image/webp", "2026/11/25")
DAY = 86_400.0


class StoreContract:
    async def test_bytes_come_back_as_they_were_put(self, store: Store) -> None:
        await store.put(NAME, DATA, "image/webp")
        assert await store.get(NAME) == DATA

    async def test_a_new_object_is_created_with_201_and_has_a_public_url(self, store: Store) -> None:
        stored = await store.put(NAME, DATA, "image/webp")
        assert (stored.created, stored.http_code) == (True, 201)
        assert stored.url.startswith("http")
        assert content_hash(DATA) in stored.url

    async def test_an_object_that_exists_is_a_success_with_200_and_the_same_url(self, store: Store) -> None:
        first = await store.put(NAME, DATA, "image/webp")
        again = await store.put(NAME, DATA, "image/webp")
        assert (again.created, again.http_code, again.url) == (False, 200, first.url)

    async def test_two_puts_at_once_leave_one_object_and_both_succeed(self, store: Store) -> None:
        one, other = await asyncio.gather(store.put(NAME, DATA, "image/webp"), store.put(NAME, DATA, "image/webp"))
        assert one.url == other.url
        assert [found.name async for found in store.list()] == [NAME]

    async def test_many_puts_at_once_are_all_stored(self, store: Store) -> None:
        contents = [DATA + bytes([number]) for number in range(25)]
        names = [object_name(content_hash(data), "image/webp", "2026/11/25") for data in contents]
        stored = await asyncio.gather(
            *(store.put(name, data, "image/webp") for name, data in zip(names, contents, strict=True))
        )
        assert [each.http_code for each in stored] == [201] * 25
        assert sorted([found.name async for found in store.list()]) == sorted(names)

    async def test_what_is_stored_is_found_by_its_url(self, store: Store) -> None:
        assert await store.find(NAME) is None
        stored = await store.put(NAME, DATA, "image/webp")
        assert await store.find(NAME) == stored.url

    async def test_what_is_not_there_is_none(self, store: Store) -> None:
        assert await store.get(NAME) is None

    async def test_a_removed_object_is_gone_and_can_be_stored_again(self, store: Store) -> None:
        await store.put(NAME, DATA, "image/webp")
        await store.delete(NAME)
        assert await store.get(NAME) is None
        assert await store.find(NAME) is None
        assert (await store.put(NAME, DATA, "image/webp")).created

    async def test_removing_what_is_not_there_is_a_success(self, store: Store) -> None:
        await store.delete(NAME)

    async def test_the_list_names_every_object_with_its_size_and_its_time(self, store: Store) -> None:
        assert [found async for found in store.list()] == []
        await store.put(NAME, DATA, "image/webp")
        (found,) = [each async for each in store.list()]
        assert found == StoredObject(NAME, len(DATA), found.modified)
        assert abs(found.modified - time.time()) < 2 * DAY or found.modified % DAY == 0

    @pytest.mark.parametrize("name", ["../secret", "2026/11/25/x.webp", "/etc/passwd", NAME + "/.."])
    async def test_no_other_names_exist(self, store: Store, name: str) -> None:
        for verb in (partial(store.put, data=DATA, content_type="image/webp"), store.get, store.delete, store.find):
            with pytest.raises(Reject):
                await verb(name)

    async def test_a_sound_account_passes_its_check(self, store: Store) -> None:
        await store.check()
