"""See the `<noscript>` copy of a lazy image as the same picture, so that it is wanted and shown once."""

import dataclasses
import re
from itertools import pairwise

from services.fetcher.images import Offer, same_picture
from services.fetcher.pixels import is_placeholder

_BETWEEN = re.compile(r"(?:\s+|</?(?:noscript|picture|source|span|div|figure|amp-img)\b[^>]*>)*", re.IGNORECASE)
_NEAR = 400  # characters between two tags that may still be twins


@dataclasses.dataclass
class Picture:
    """An image as the body writes it: where it stands, and every URL that it names."""

    start: int
    end: int
    attributes: dict[str, str]
    offers: list[Offer]
    in_noscript: bool = False
    poster: bool = False
    dropped: bool = False


def drop_twins(html: str, pictures: list[Picture]) -> list[Picture]:
    """Return `pictures`, of twins the one outside `<noscript>` with the URLs of both, the other marked dropped."""
    for first, second in pairwise(pictures):
        if first.in_noscript == second.in_noscript or first.dropped or second.dropped:
            continue
        script, noscript = (second, first) if first.in_noscript else (first, second)
        if _are_twins(html, script, noscript):
            script.offers = [offer for offer in script.offers if not is_placeholder(offer.url)]
            script.offers += (_after(offer) for offer in noscript.offers)
            noscript.dropped = True
    return pictures


def _after(offer: Offer) -> Offer:
    """Return the offer of the twin as one that comes after the picture's own of the same width."""
    return Offer(offer.url, offer.width, offer.rank + 4)


def _are_twins(html: str, script: Picture, noscript: Picture) -> bool:
    """Return whether both name one picture, or the one with scripts has none of its own right beside the other."""
    shared = {same_picture(offer.url) for offer in script.offers} & {
        same_picture(offer.url) for offer in noscript.offers
    }
    if shared:
        return True
    if any(not is_placeholder(offer.url) for offer in script.offers):
        return False
    gap = html[min(script.end, noscript.end) : max(script.start, noscript.start)]
    return len(gap) <= _NEAR and bool(_BETWEEN.fullmatch(gap))
