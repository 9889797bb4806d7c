"""Objects as files of a local directory: written beside, synced, then renamed into place."""

import asyncio
import errno
import os
import shutil
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from services.uploader.names import is_object_name
from services.uploader.stores.store import CREATED, EXISTED, Full, Stored, StoredObject
from shared.errors import Reject, Retry

UNFINISHED = ".unfinished"  # the folder of files being written; no object's name can reach it
ABANDONED_SECONDS = 3600  # an unfinished file this old was left by a process that died
SPARE_BYTES = 64 * 1024 * 1024  # a disk with less room than this is full: other programs need some
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)

T = TypeVar("T")


class LocalStore:
    """Files `<root>/YYYY/MM/DD/<hash>.webp`, public at `<public_url>/YYYY/MM/DD/<hash>.webp`.

    Only names that match the strict pattern exist, so no name leads out of the directory.
    """

    def __init__(self, root: Path, *, public_url: str) -> None:
        self._root = root
        self._public_url = public_url.rstrip("/")

    async def put(self, name: str, data: bytes, content_type: str) -> Stored:
        """See `Store`; the type is in the name."""
        del content_type
        path = self._path(name)
        created = await _in_thread(lambda: self._write(path, data))
        return Stored(self._url(name), created, CREATED if created else EXISTED)

    async def find(self, name: str) -> str | None:
        """See `Store`."""
        path = self._path(name)
        return self._url(name) if await _in_thread(path.is_file) else None

    async def get(self, name: str) -> bytes | None:
        """See `Store`."""
        path = self._path(name)
        return await _in_thread(lambda: path.read_bytes() if path.is_file() else None)

    async def delete(self, name: str) -> None:
        """See `Store`."""
        path = self._path(name)
        await _in_thread(lambda: path.unlink(missing_ok=True))

    async def list(self) -> AsyncIterator[StoredObject]:
        """See `Store`."""
        for found in await _in_thread(lambda: list(self._walk())):
            yield found

    async def check(self) -> None:
        """See `Store`: the directory can be written and its disk has room to spare."""
        await _in_thread(self._check)

    async def rate_left(self) -> int | None:
        """See `Store`: no limit that we know."""
        return None

    async def close(self) -> None:
        """See `Store`."""

    def _path(self, name: str) -> Path:
        if not is_object_name(name):
            raise Reject(f"{name!r} is no object's name")
        return self._root / name

    def _url(self, name: str) -> str:
        return f"{self._public_url}/{name}"

    def _write(self, path: Path, data: bytes) -> bool:
        if path.is_file():
            return False
        beside = self._unfinished / uuid.uuid4().hex
        try:
            with beside.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _make_directory(path.parent)
            beside.replace(path)
        except BaseException:
            beside.unlink(missing_ok=True)
            raise
        _sync(path.parent)
        return True

    @cached_property
    def _unfinished(self) -> Path:
        folder = self._root / UNFINISHED
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.iterdir():
            if left.stat().st_mtime < time.time() - ABANDONED_SECONDS:
                left.unlink(missing_ok=True)
        return folder

    def _check(self) -> None:
        probe = self._unfinished / uuid.uuid4().hex
        probe.touch()
        probe.unlink()
        if shutil.disk_usage(self._root).free < SPARE_BYTES:
            raise Full(f"{self._root}: less than {SPARE_BYTES >> 20} MB left on its disk")

    def _walk(self) -> Iterator[StoredObject]:
        for path in self._root.glob("[0-9]*/[0-9]*/[0-9]*/*"):
            name = path.relative_to(self._root).as_posix()
            if is_object_name(name):
                stat = path.stat()
                yield StoredObject(name, stat.st_size, stat.st_mtime)


async def _in_thread(work: Callable[[], T]) -> T:
    try:
        return await asyncio.to_thread(work)
    except OSError as error:
        reason = f"{error.filename or 'local store'}: {error.strerror or error}"
        raise (Full if error.errno in _NO_ROOM else Retry)(reason) from error


def _make_directory(path: Path) -> None:
    if not path.is_dir():
        _make_directory(path.parent)
        path.mkdir(exist_ok=True)
        _sync(path.parent)


def _sync(directory: Path) -> None:
    """Make the directory's entries outlive a power cut."""
    handle = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
