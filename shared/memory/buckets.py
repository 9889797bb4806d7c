"""Key-value buckets: a dictionary with revisions."""

from shared.bus import Conflict, KeyEntry
from shared.memory.limits import fits


class MemoryBucket:
    """One key-value bucket."""

    def __init__(self) -> None:
        self._entries: dict[str, KeyEntry] = {}
        self._revision = 0

    async def get(self, key: str) -> KeyEntry | None:
        """See `KeyValue.get`."""
        return self._entries.get(key)

    async def put(self, key: str, value: bytes) -> int:
        """See `KeyValue.put`."""
        fits(key, value)
        self._revision += 1
        self._entries[key] = KeyEntry(value, self._revision)
        return self._revision

    async def create(self, key: str, value: bytes) -> int:
        """See `KeyValue.create`."""
        if key in self._entries:
            raise Conflict(f"{key} was written by another")
        return await self.put(key, value)

    async def update(self, key: str, value: bytes, revision: int) -> int:
        """See `KeyValue.update`."""
        if key not in self._entries or self._entries[key].revision != revision:
            raise Conflict(f"{key} was written by another")
        return await self.put(key, value)

    async def delete(self, key: str) -> None:
        """See `KeyValue.delete`."""
        self._entries.pop(key, None)

    async def keys(self) -> list[str]:
        """See `KeyValue.keys`."""
        return list(self._entries)
