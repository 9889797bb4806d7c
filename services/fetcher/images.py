"""Find the picture that an `<img>` means: the largest of all the URLs it names, the others as fallbacks."""

import re
from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import urlsplit

import msgspec

from services.fetcher.pixels import is_placeholder
from shared.html import LAZY_SOURCES, LAZY_SRCSETS
from shared.srcset import parse_srcset
from shared.urls import resolve

ORIGINALS = frozenset({"data-orig-file", "data-canonical-src", "data-full-url", "data-full-src"})
_MAX_ALTERNATES = 6
_LOOKS_LIKE_URL = re.compile(r"(?=[^./]*[./])[^\n{}<>\"]+")
_SIZE_SUFFIX = re.compile(r"(?:[-_]\d{2,4}x\d{2,4}|[-_]scaled|@\dx)(?=\.\w+$)")
_YOUTUBE = re.compile(r"https?://(?:i\d?\.ytimg\.com|img\.youtube\.com)/(?:vi|vi_webp)/([\w-]{11})/", re.IGNORECASE)
_YOUTUBE_SIZES = ("maxresdefault", "sddefault", "hqdefault", "mqdefault")  # 1280, 640, 480 and 320 pixels wide


class Image(msgspec.Struct, frozen=True):
    """An image that an article wants."""

    source: str  # absolute URL; what the body has, and what the record calls `source`
    alternates: tuple[str, ...] = ()  # other URLs of the same picture, best first
    role: str = "body"  # "body"; "cover": the feed names it and the body has it not
    cover: bool = True  # may stand for its article
    width: int = 0  # pixels, as the author says; 0: unknown
    height: int = 0


class Offer(msgspec.Struct, frozen=True):
    """One URL for a picture and how much it promises."""

    url: str  # absolute
    width: float  # pixels; 0: unknown
    rank: int  # of two equal in width the lower is taken


def choose(offers: Iterable[Offer]) -> tuple[str, tuple[str, ...]] | None:
    """Return the best URL and the others, best first, each once; None where there is no offer."""
    best = sorted(offers, key=lambda offer: (-offer.width, offer.rank))
    urls = tuple(dict.fromkeys(offer.url for offer in best))
    return (urls[0], urls[1 : 1 + _MAX_ALTERNATES]) if urls else None


def offers(attributes: Mapping[str, str], base: str, *, rank: int = 0) -> Iterator[Offer]:
    """Yield every URL that an element names for its picture.

    A lazy loader's attribute goes before `src`, an uploader's original before anything smaller; a `src` that
    merely holds the place is none. Without widths, densities stand in for them: they only have to compare.
    """
    lazy = [name for name in LAZY_SOURCES if _means_image(attributes.get(name, ""))]
    for name in lazy:
        if url := resolve(attributes[name], base):
            yield Offer(url, 100_000 if name in ORIGINALS else 0, rank)
    for name in (*LAZY_SRCSETS, "srcset"):
        yield from _from_srcset(attributes.get(name, ""), base, rank)
    source = attributes.get("src", "").strip()
    if (
        source
        and not (is_placeholder(source) and (lazy or _has_lazy_srcset(attributes)))
        and (url := resolve(source, base))
    ):
        yield Offer(url, 0, rank + (1 if lazy else 0))


def _from_srcset(text: str, base: str, rank: int) -> Iterator[Offer]:
    for candidate in parse_srcset(text) if text else ():
        url = resolve(candidate.url, base)
        if url and not is_placeholder(candidate.url):
            yield Offer(url, candidate.width or candidate.density, rank)


def _has_lazy_srcset(attributes: Mapping[str, str]) -> bool:
    return any(attributes.get(name) for name in LAZY_SRCSETS)


def _means_image(value: str) -> bool:
    return bool(value) and not is_placeholder(value) and bool(_LOOKS_LIKE_URL.fullmatch(value.strip()))


def same_picture(url: str) -> str:
    """Return what two URLs of one picture in two sizes share: host and path less the size, without the query."""
    parts = urlsplit(url)
    return (parts.netloc.lower() + _SIZE_SUFFIX.sub("", parts.path)).removeprefix("www.")


def youtube_thumbnails(url: str) -> tuple[str, ...]:
    """Return the URLs of a YouTube video's thumbnail, largest first, for the URL of any; else ()."""
    match = _YOUTUBE.match(url)
    if not match:
        return ()
    return tuple(f"https://i.ytimg.com/vi/{match.group(1)}/{size}.jpg" for size in _YOUTUBE_SIZES)
