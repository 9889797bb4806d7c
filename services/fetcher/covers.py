"""Choose what may stand for an article, in an order that a reader can predict.

1. What the feed names for the entry: the publisher chose it (`media:*`, `itunes:image`, an image enclosure, JSON
   Feed's `image`), the largest first; the same picture in the body is taken instead, since it is wanted anyway.
2. The article page's `og:image` or `twitter:image`, where pages are fetched: made for sharing, hence large.
3. The body's images in their order, less what is small, an emoji, an avatar, a badge or an advertisement.

Which of them is large enough is known once they are mirrored: the first that is, is the cover.
"""

from collections.abc import Sequence

import msgspec

from services.fetcher.feed import Entry, RawMedia
from services.fetcher.images import Image, Offer, choose, same_picture, youtube_thumbnails
from services.fetcher.pixels import may_be_cover


class Covers(msgspec.Struct, frozen=True):
    """All images of an entry, and which of them may be its cover, best first."""

    images: tuple[Image, ...]
    covers: tuple[str, ...]
    named: int  # how many of `covers` the feed itself names


def choose_covers(media: Sequence[RawMedia], body: Sequence[Image]) -> Covers:
    """Return an entry's images and covers from what the feed names and its body has."""
    named = _named(media)
    twin = named and _twin(named, body)
    if named and not twin:
        body = (named, *body)
    first = [(twin or named).source] if named else []
    others = [image.source for image in body if image.cover and image.source not in first]
    return Covers(tuple(body), (*first, *others), len(first))


def with_page_image(entry: Entry, urls: Sequence[str]) -> Entry:
    """Return the entry with its page's `og:image` among the covers, where the feed itself names none."""
    usable = [url for url in urls if may_be_cover(url, {})]
    if entry.covers_named or not usable:
        return entry
    image = Image(usable[0], tuple(usable[1:]), role="cover")
    twin = _twin(image, entry.images)
    images = entry.images if twin else (image, *entry.images)
    source = (twin or image).source
    others = (cover for cover in entry.covers if cover != source)
    return msgspec.structs.replace(entry, images=images, covers=(source, *others))


def _named(media: Sequence[RawMedia]) -> Image | None:
    """Return the largest picture that a feed names, its other sizes as fallbacks."""
    usable = [item for item in media if may_be_cover(item.url, {})]
    chosen = choose(
        Offer(url, item.width, item.rank) for item in usable for url in youtube_thumbnails(item.url) or (item.url,)
    )
    return Image(*chosen, role="cover") if chosen else None


def _twin(named: Image, body: Sequence[Image]) -> Image | None:
    """Return the body's image that is the same: the same URL, or the same picture in a size that may be a cover."""
    pictures = {same_picture(url) for url in (named.source, *named.alternates)}
    alike = (image for image in body if image.cover and same_picture(image.source) in pictures)
    return next((image for image in body if image.source == named.source), None) or next(alike, None)
