"""What the real broker refuses for its size."""

from shared.bus import Oversized
from shared.topology import MAX_PAYLOAD


def fits(where: str, data: bytes) -> None:
    """Raise `Oversized` where the real broker would refuse so many bytes."""
    if len(data) > MAX_PAYLOAD:
        raise Oversized(f"{where}: no more than {MAX_PAYLOAD:,} bytes at once")
