"""`halftone dlq`: the dead letters, to read, to give back to whom they were for, or to drop."""

from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import msgspec

from services.standalone.administration import administration
from shared.errors import HalftoneError
from shared.nats import NatsBus, letters
from shared.nats.letters import DeadLetter


class NoSuchLetter(HalftoneError):
    """There is no dead letter of that number."""


class NoneChosen(HalftoneError):
    """It was not said which letters are meant."""


async def list_letters(data: Path) -> None:
    """Print a line per dead letter, oldest first."""
    async with administration(data) as bus:
        count = 0
        async for letter in letters.dead_letters(bus):
            print(f"{letter.number:>6}  {letter.buried:%Y-%m-%d %H:%M:%S}  {letter.subject}  {letter.reason}")
            count += 1
    if not count:
        print("no dead letters")


async def show_letter(data: Path, number: int) -> None:
    """Print one whole.

    Raises:
        NoSuchLetter: There is none.
    """
    async with administration(data) as bus:
        letter = await _letter(bus, number)
    about = {"number": letter.number, "buried": letter.buried.isoformat(), "consumer": letter.consumer}
    for name, value in {**about, "subject": letter.subject, "reason": letter.reason, **letter.headers}.items():
        print(f"{name}: {value}")
    print(f"\n{_readable(letter.data)}")


async def replay_letters(data: Path, numbers: Sequence[int], *, everything: bool) -> None:
    """Give letters back to whom they were for; those that fail again come back with a new number.

    Raises:
        NoneChosen: There is no number, and not everything is meant.
        NoSuchLetter: One of the numbers is none.
    """
    await _each(data, numbers, letters.replay, "replayed", everything=everything)


async def drop_letters(data: Path, numbers: Sequence[int], *, everything: bool) -> None:
    """Delete letters for good.

    Raises:
        NoneChosen: There is no number, and not everything is meant.
        NoSuchLetter: One of the numbers is none.
    """
    await _each(data, numbers, letters.drop, "dropped", everything=everything)


async def _each(
    data: Path,
    numbers: Sequence[int],
    act: Callable[[NatsBus, DeadLetter], Awaitable[None]],
    done: str,
    *,
    everything: bool,
) -> None:
    if not (numbers or everything):
        raise NoneChosen("which dead letters? Give their numbers, as `halftone dlq list` prints them, or --all")
    async with administration(data) as bus:
        chosen = [letter.number async for letter in letters.dead_letters(bus)] if everything else numbers
        for number in chosen:
            letter = await _letter(bus, number)
            await act(bus, letter)
            print(f"{done} {number}  {letter.subject}")


async def _letter(bus: NatsBus, number: int) -> DeadLetter:
    letter = await letters.dead_letter(bus, number)
    if letter is None:
        raise NoSuchLetter(f"there is no dead letter {number}: `halftone dlq list` shows those that there are")
    return letter


def _readable(data: bytes) -> str:
    """Return JSON indented, other bytes as Python writes them."""
    try:
        return msgspec.json.format(data, indent=2).decode()
    except (msgspec.DecodeError, UnicodeDecodeError):
        return repr(data)
