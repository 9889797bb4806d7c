"""The child's side: answer one job after the other until the parent closes its end."""

import pickle
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec

from shared.errors import Reject

HEAD = 8  # bytes before each message that give its length, big-endian


class Outcome(msgspec.Struct, frozen=True):
    """What a job came to. MessagePack, not pickle: a child that was taken over must not take over its parent."""

    result: msgspec.Raw = msgspec.Raw(b"\xc0")  # MessagePack of what the function returned
    rejected: str = ""  # the text of its `Reject`
    failed: str = ""  # any other exception


def framed(data: bytes) -> bytes:
    """Return the message with its length before it."""
    return len(data).to_bytes(HEAD, "big") + data


def answer_jobs(fd: int, function: Callable[..., Any]) -> None:
    """Read pickled argument tuples and write outcomes until there are no more."""
    with open(fd, "rb", closefd=False) as reader, open(fd, "wb", closefd=False) as writer, suppress(OSError):
        while head := reader.read(HEAD):
            request = reader.read(int.from_bytes(head, "big"))
            arguments: tuple[Any, ...] = pickle.loads(request)  # noqa: S301 - from the service itself
            writer.write(framed(msgspec.msgpack.encode(_outcome(function, arguments))))
            writer.flush()


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Outcome:
    try:
        return Outcome(result=msgspec.Raw(msgspec.msgpack.encode(function(*arguments))))
    except Reject as error:
        return Outcome(rejected=str(error) or "refused")
    except MemoryError:
        return Outcome(rejected="it needs more memory than allowed")
    except Exception as error:  # noqa: BLE001 - told to the parent, which decides
        return Outcome(failed=f"{type(error).__name__}: {error}"[:1000])
