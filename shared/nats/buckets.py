"""Key-value buckets on JetStream (ADR-8)."""

import uuid
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol, TypeVar, cast

import nats.js.errors
from nats.js import JetStreamContext, api
from nats.js.kv import KeyValue as NatsKeyValue

from shared.bus import Conflict, KeyEntry

WRONG_REVISION = frozenset({10071, 10164})  # err_codes: the key has moved on
DELETIONS = frozenset({"DEL", "PURGE"})

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
            last = await self._bus.patiently(lambda: self._last(key), f"read {self._name}/{key}")
            if last is None or _header(last, "KV-Operation") not in DELETIONS:
                raise
        return await self.update(key, value, last.seq or 0)

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
        """Write once, however often it is tried: the write's own id tells it from another's where a reply was lost."""
        write_id = uuid.uuid4().hex
        headers = {**headers, api.Header.MSG_ID: write_id}

        async def attempt() -> int:
            try:
                return (await self._bus.js.publish(self._subject(key), value, headers=headers)).seq
            except nats.js.errors.APIError as error:
                if error.err_code not in WRONG_REVISION:
                    raise
                last = await self._last(key)
                if last is None or _header(last, api.Header.MSG_ID) != write_id:
                    raise Conflict(f"{self._name}/{key} was written by another") from error
                return last.seq or 0

        return await self._bus.patiently(attempt, f"write {self._name}/{key}")

    async def _last(self, key: str) -> api.RawStreamMsg | None:
        """Return what was written last under the key, its deletion too."""
        try:
            return await self._bus.js.get_msg(f"KV_{self._name}", subject=self._subject(key), direct=True)
        except nats.js.errors.NotFoundError:
            return None

    def _subject(self, key: str) -> str:
        return f"$KV.{self._name}.{key}"


def _header(message: api.RawStreamMsg, name: str) -> str:
    return cast("dict[str, str]", message.headers or {}).get(name, "")
