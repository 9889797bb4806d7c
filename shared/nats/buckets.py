"""Key-value buckets on JetStream (ADR-8)."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import nats.js.errors
from nats.js import JetStreamContext
from nats.js.kv import KeyValue as NatsKeyValue

from shared.bus import Conflict, KeyEntry

T = TypeVar("T")


class Patient(Protocol):
    """A connection that tries again while the broker is away."""

    @property
    def js(self) -> JetStreamContext:
        """Its JetStream context."""
        ...

    async def patiently(self, attempt: Callable[[], Awaitable[T]], what: str) -> T:
        """Return what `attempt` returns in the end."""
        ...


class NatsBucket:
    """One key-value bucket."""

    def __init__(self, bus: Patient, name: str) -> None:
        self._bus = bus
        self._name = name
        self._opened: NatsKeyValue | None = None

    async def get(self, key: str) -> KeyEntry | None:
        """See `KeyValue.get`."""

        async def attempt() -> KeyEntry | None:
            try:
                entry = await (await self._store()).get(key)
            except nats.js.errors.KeyNotFoundError:
                return None
            return KeyEntry(entry.value or b"", entry.revision or 0)

        return await self._bus.patiently(attempt, f"read {self._name}/{key}")

    async def put(self, key: str, value: bytes) -> int:
        """See `KeyValue.put`."""

        async def attempt() -> int:
            return await (await self._store()).put(key, value)

        return await self._bus.patiently(attempt, f"write {self._name}/{key}")

    async def create(self, key: str, value: bytes) -> int:
        """See `KeyValue.create`."""

        async def attempt() -> int:
            return await (await self._store()).create(key, value)

        return await self._compare_and_set(attempt, key)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """See `KeyValue.update`."""

        async def attempt() -> int:
            return await (await self._store()).update(key, value, last=revision)

        return await self._compare_and_set(attempt, key)

    async def delete(self, key: str) -> None:
        """See `KeyValue.delete`."""

        async def attempt() -> bool:
            return await (await self._store()).delete(key)

        await self._bus.patiently(attempt, f"delete {self._name}/{key}")

    async def keys(self) -> list[str]:
        """See `KeyValue.keys`."""

        async def attempt() -> list[str]:
            try:
                return await (await self._store()).keys()
            except nats.js.errors.NoKeysError:
                return []

        return await self._bus.patiently(attempt, f"list {self._name}")

    async def _store(self) -> NatsKeyValue:
        if self._opened is None:
            self._opened = await self._bus.js.key_value(self._name)
        return self._opened

    async def _compare_and_set(self, attempt: Callable[[], Awaitable[int]], key: str) -> int:
        try:
            return await self._bus.patiently(attempt, f"write {self._name}/{key}")
        except nats.js.errors.KeyWrongLastSequenceError as error:
            raise Conflict(f"{self._name}/{key} was written by another") from error
