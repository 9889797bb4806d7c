"""Which storage account a rendition belongs to: weighted rendezvous hashing of its content."""

import hashlib
import math
from collections.abc import Iterable


def ranking(content: str, weights: Iterable[tuple[str, float]]) -> list[str]:
    """Return the accounts' names, the one that the content belongs to first.

    Each account gets its share of all contents by its weight; an account that goes away moves only what it held.
    Highest random weight with logarithmic scores: C. Schindelhauer, G. Schomaker, "Weighted Distributed Hash
    Tables" (SPAA 2005), the form of the IETF's draft-ietf-bess-weighted-hrw.

    Args:
        content: The content hash.
        weights: (account, weight > 0) pairs in any order.
    """
    scored = [(_score(content, name, weight), name) for name, weight in weights]
    return [name for _, name in sorted(scored, reverse=True)]


def _score(content: str, account: str, weight: float) -> float:
    digest = hashlib.blake2b(f"{account}\0{content}".encode(), digest_size=8).digest()
    uniform = (int.from_bytes(digest) + 0.5) / 2**64
    return -weight / math.log(uniform) if uniform < 1 else math.inf
