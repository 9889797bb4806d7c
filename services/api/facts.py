"""What a record is built from: the poll, its feed, its articles, and how each image was settled."""

import msgspec

from shared.messages import Article, FeedPolled, ImageFailed, ImageMirrored

Settled = ImageMirrored | ImageFailed


class PollFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The poll; times in epoch ms."""

    request_id: str
    feed: int
    asked: bool
    started_ms: int
    polled: FeedPolled | None = None  # None: it never ended
    completed_ms: int
    updated_ms: int | None = None  # when the record last changed after it was complete; None: never


class FeedRow(msgspec.Struct, frozen=True, kw_only=True):
    """The feed as the database knows it."""

    id: int
    url: str
    subscribed: bool = False
    name: str = ""
    title: str = ""
    description: str = ""
    link: str = ""
    website: str | None = None
    weekly: int | None = None
    icon: str | None = None
    icon_url: str | None = None  # the CDN's
    created_ms: int = 0
    updated_ms: int = 0


class Use(msgspec.Struct, frozen=True, kw_only=True):
    """One use of an image by an article of the poll."""

    link_md5: str
    image: str
    source: str
    role: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that a record says."""

    poll: PollFacts
    feed: FeedRow
    articles: tuple[Article, ...] = ()  # the new ones, in the order of the feed
    uses: tuple[Use, ...] = ()  # of the new articles, each article's in the order of its images
    settled: dict[str, Settled] = {}  # image id → its result; without: still open at the deadline
