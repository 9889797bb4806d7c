"""The local store."""

import errno
import os
import shutil
import time
from pathlib import Path

import pytest

from services.uploader.stores.local import ABANDONED_SECONDS, UNFINISHED, LocalStore
from services.uploader.stores.store import Full
from shared.errors import Retry
from tests.uploader.contract import DATA, NAME, StoreContract


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "objects" / "local-1"


@pytest.fixture
def store(root: Path) -> LocalStore:
    return LocalStore(root, public_url="http://127.0.0.1:8080/img/local-1/")


class TestLocalStore(StoreContract):
    pass


def files(root: Path) -> list[str]:
    return [path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()]


async def test_the_url_is_the_public_one_with_the_name(store: LocalStore) -> None:
    stored = await store.put(NAME, DATA, "image/webp")
    assert stored.url == f"http://127.0.0.1:8080/img/local-1/{NAME}"


async def test_a_put_leaves_the_object_and_nothing_else(store: LocalStore, root: Path) -> None:
    await store.put(NAME, DATA, "image/webp")
    assert files(root) == [NAME]


async def test_the_bytes_are_on_the_disk_before_the_name_is(
    store: LocalStore, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[str, bool]] = []

    def sync(descriptor: int) -> None:
        file = os.readlink(f"/proc/self/fd/{descriptor}")  # noqa: PTH115 - no Path yet
        synced.append((Path(file).parent.name, (root / NAME).exists()))

    monkeypatch.setattr(os, "fsync", sync)
    await store.put(NAME, DATA, "image/webp")
    assert synced[0] == (UNFINISHED, False)
    assert synced[-1] == ("11", True)  # the folder of the day


class Usage:
    free = 1_000_000  # bytes


def nearly_full(_path: Path) -> Usage:
    return Usage()


def raising(code: int) -> object:
    def fail(_descriptor: int) -> None:
        raise OSError(code, os.strerror(code))

    return fail


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
async def test_a_full_disk_is_for_later_and_leaves_no_file(
    store: LocalStore, root: Path, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "fsync", raising(code))
    with pytest.raises(Full):
        await store.put(NAME, DATA, "image/webp")
    assert files(root) == []


async def test_a_broken_disk_is_for_later(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "fsync", raising(errno.EIO))
    with pytest.raises(Retry, match="Input/output error"):
        await store.put(NAME, DATA, "image/webp")


@pytest.fixture
def blocked(root: Path) -> Path:
    root.parent.mkdir(parents=True)
    root.write_text("a file where the directory should be")
    return root


async def test_a_directory_that_cannot_be_made_is_for_later_and_is_named(blocked: Path) -> None:
    store = LocalStore(blocked, public_url="http://127.0.0.1")
    with pytest.raises(Retry, match="local-1"):
        await store.put(NAME, DATA, "image/webp")
    with pytest.raises(Retry, match="local-1"):
        await store.check()


async def test_a_disk_without_room_to_spare_fails_the_check(store: LocalStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", nearly_full)
    with pytest.raises(Full, match="64 MB"):
        await store.check()


async def test_files_left_by_a_process_that_died_are_swept_away_after_an_hour(store: LocalStore, root: Path) -> None:
    unfinished = root / UNFINISHED
    unfinished.mkdir(parents=True)
    old, young = unfinished / "old", unfinished / "young"
    old.touch()
    young.touch()
    before = time.time() - ABANDONED_SECONDS - 1
    os.utime(old, (before, before))
    await store.put(NAME, DATA, "image/webp")
    assert sorted(files(root)) == [f"{UNFINISHED}/young", NAME]
