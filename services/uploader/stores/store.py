"""What every kind of store does: a small protocol and its failures."""

from collections.abc import AsyncIterator
from typing import Protocol

import msgspec

from shared.errors import Retry

CACHE_CONTROL = "public, max-age=31536000, immutable"
CREATED, EXISTED = 201, 200


class Stored(msgspec.Struct, frozen=True):
    """An object that is in the store and public."""

    url: str
    created: bool  # False: it was there before
    http_code: int  # 201 created, 200 existed


class StoredObject(msgspec.Struct, frozen=True):
    """An object as a store lists it."""

    name: str
    bytes: int
    modified: float  # epoch seconds; the name's day where the store keeps no time


class RateLimited(Retry):
    """The account has no rate left for `after` seconds: it is well, but not now."""


class Full(Retry):
    """The account has no room left: disk, quota or plan."""


class Unverified(Retry):
    """The object is stored, but its public URL does not answer yet."""


class Store(Protocol):
    """One account's objects; every method raises `Reject` or `Retry` alone.

    Names are those of `services.uploader.names`; any other is a `Reject`.
    """

    async def put(self, name: str, data: bytes, content_type: str) -> Stored:
        """Store the bytes; an object that is there already is a success.

        Raises:
            RateLimited, Full, Retry: Not now; another account may take it.
            Reject: Never these bytes in this account; another account may take them.
        """
        ...

    async def find(self, name: str) -> str | None:
        """Return the object's public URL, None where there is no such object.

        Raises:
            Unverified: It is there, and its URL does not answer yet.
        """
        ...

    async def get(self, name: str) -> bytes | None:
        """Return the object's bytes, None where there is no such object."""
        ...

    async def delete(self, name: str) -> None:
        """Remove the object; none there is a success."""
        ...

    def list(self) -> AsyncIterator[StoredObject]:
        """Yield every object, in any order."""
        ...

    async def check(self) -> None:
        """Return when the account could take an object now; `Retry` says why it could not."""
        ...

    async def rate_left(self) -> int | None:
        """Return how many writes the account's rate leaves for now, None where there is no such limit."""
        ...

    async def close(self) -> None:
        """Let go of connections."""
        ...
