"""Decides when an image is settled, whatever the order of events: pure.

A mirrored image settles every use of it, past and future. A failure settles the uses that were wanted before it,
and those wanted up to five minutes after it: a later one waits for its own job.
"""

import msgspec

from shared.messages import ImageFailed, ImageMirrored

WANTED, MIRRORED, FAILED = "wanted", "mirrored", "failed"
REMEMBERED_SECONDS = 300.0  # for which a failure also answers new uses


class ImageState(msgspec.Struct, frozen=True):
    """What is known of an image; `settled_at` is when the broker took its result, epoch seconds."""

    state: str = WANTED
    settled_at: float = 0.0
    url: str | None = None


def since(published: float) -> float:
    """Return from when on a failure counts for a use whose article the broker took at `published`."""
    return published - REMEMBERED_SECONDS


def is_settled(image: ImageState, use_since: float) -> bool:
    """Tell whether a use of the image waits no longer."""
    return image.state == MIRRORED or (image.state == FAILED and image.settled_at >= use_since)


def after(image: ImageState, event: ImageMirrored | ImageFailed, published: float) -> ImageState | None:
    """Return the image's state after the event, None where it changes nothing."""
    if isinstance(event, ImageFailed):
        stale = image.state == MIRRORED or (image.state == FAILED and published <= image.settled_at)
        return None if stale else ImageState(FAILED, published)
    if image.state == MIRRORED and (published <= image.settled_at or (event.known and event.url == image.url)):
        return None
    return ImageState(MIRRORED, published, event.url)
