"""Key-value buckets on JetStream (ADR-8)."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar

import nats.js.errors
from nats.js import JetStreamContext, api
from nats.js.kv import KeyValue as NatsKeyValue

from shared.bus import Conflict, KeyEntry

WRONG_REVISION = frozenset({10071, 10164})  # err_codes: the key has moved on

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
        return await self._write(key, value, {})

    async def create(self, key: str, value: bytes) -> int:
        """See `KeyValue.create`."""
        try:
            return await self.update(key, value, 0)
        except Conflict:
            tombstone = await self._tombstone(key)
            if tombstone is None:
                raise
        return await self.update(key, value, tombstone)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """See `KeyValue.update`."""
        return await self._write(key, value, {api.Header.EXPECTED_LAST_SUBJECT_SEQUENCE: str(revision)})

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

    async def _write(self, key: str, value: bytes, headers: Mapping[str, str]) -> int:
        """Write once, however often it is tried: the write's own id tells the broker that it has it already."""
        headers = {**headers, api.Header.MSG_ID: uuid.uuid4().hex}

        async def attempt() -> int:
            try:
                return (await self._bus.js.publish(self._subject(key), value, headers=headers)).seq
            except nats.js.errors.APIError as error:
                if error.err_code in WRONG_REVISION:
                    raise Conflict(f"{self._name}/{key} was written by another") from error
                raise

        return await self._bus.patiently(attempt, f"write {self._name}/{key}")

    async def _tombstone(self, key: str) -> int | None:
        """Return the revision of the key's deletion, None where it is not deleted."""

        async def attempt() -> int | None:
            try:
                last = await self._bus.js.get_msg(f"KV_{self._name}", subject=self._subject(key), direct=True)
            except nats.js.errors.NotFoundError:
                return 0
            return last.seq if (last.headers or {}).get("KV-Operation") in {"DEL", "PURGE"} else None

        return await self._bus.patiently(attempt, f"read {self._name}/{key}")

    def _subject(self, key: str) -> str:
        return f"$KV.{self._name}.{key}"
