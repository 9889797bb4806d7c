"""The dead letters as the broker keeps them: read in order, deleted one by one."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import msgspec
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from shared.nats.bus import NatsBus
from shared.topology import DLQ

PREFIX = "dlq."


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A message that was given up, as it was, and why."""

    number: int  # its place in the stream
    subject: str  # where it was published before it died
    buried: datetime
    consumer: str  # who gave it up
    reason: str
    data: bytes
    headers: dict[str, str]  # its own


async def dead_letters(bus: NatsBus, start: int = 1) -> AsyncIterator[DeadLetter]:
    """Yield the letters from number `start` on, oldest first."""
    while letter := await _next(bus, start):
        yield letter
        start = letter.number + 1


async def dead_letter(bus: NatsBus, number: int) -> DeadLetter | None:
    """Return one letter, None where there is none of that number."""
    letter = await _next(bus, number)
    return letter if letter and letter.number == number else None


async def drop(bus: NatsBus, letter: DeadLetter) -> None:
    """Delete it for good."""
    await bus.patiently(lambda: bus.js.delete_msg(DLQ.name, letter.number), f"drop dead letter {letter.number}")


async def replay(bus: NatsBus, letter: DeadLetter) -> None:
    """Publish it again where it came from, then drop it: killed in between, it is handled twice, never lost."""
    await bus.publish_raw(letter.subject, letter.data, letter.headers)
    await drop(bus, letter)


async def _next(bus: NatsBus, start: int) -> DeadLetter | None:
    async def attempt() -> RawStreamMsg | None:
        try:
            return await bus.js.get_msg(DLQ.name, seq=start, subject=f"{PREFIX}>", next=True)
        except NotFoundError:
            return None

    found = await bus.patiently(attempt, "read the dead letters")
    if found is None:
        return None
    headers: dict[str, str] = dict(found.headers or {})  # pyright: ignore[reportUnknownArgumentType] - a bare Dict
    return DeadLetter(
        number=found.seq or 0,
        subject=(found.subject or "").removeprefix(PREFIX),
        buried=found.time or datetime.now(UTC),
        consumer=headers.get("Halftone-Consumer", ""),
        reason=headers.get("Halftone-Reason", ""),
        data=found.data or b"",
        headers={name: value for name, value in headers.items() if not name.startswith(("Halftone-", "Nats-"))},
    )
