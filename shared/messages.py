"""Every message of the system, in the order in which they travel: the one place to learn it.

    FeedDue ─▶ ArticleFound, ArticleUpdated, ImageJob …, FeedPolled ─▶ Upload ─▶ Uploaded
            ─▶ ImageMirrored | ImageFailed ─▶ RecordCompleted

Messages are tagged JSON objects (`{"type": "feed.due", …}`); `Upload` alone is MessagePack, since it carries
bytes. Readers tolerate fields that they do not know and new fields have defaults, so that services of
neighbouring versions understand each other. Times are Unix epoch milliseconds, durations milliseconds, sizes
bytes, unless a field says otherwise.
"""

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """What travels on the bus; each kind knows its subject and the name under which a repeat is a repeat."""

    @property
    def subject(self) -> str:
        """The subject that this message is published on."""
        raise NotImplementedError

    @property
    def message_id(self) -> str | None:
        """The same for the same message said twice: the broker drops the second; None: never dropped."""
        return None


# ── the schedule asks for a poll ──────────────────────────────────────────────────────────────────────────


class FeedDue(Message, frozen=True, kw_only=True, tag="feed.due"):
    """Poll this feed now: said by the feed's own schedule, or by somebody who asked."""

    feed: int  # the feed's id
    request_id: str = ""  # names the poll that was asked for; empty where the schedule says it

    @property
    def subject(self) -> str:
        """`feed.due.<feed>`: at most one waits per feed."""
        return f"feed.due.{self.feed}"

    @property
    def schedule_subject(self) -> str:
        """`feed.sched.<feed>`: where the feed's next tick waits for its time."""
        return f"feed.sched.{self.feed}"


# ── the fetcher says what a poll found ────────────────────────────────────────────────────────────────────


class WantedImage(msgspec.Struct, frozen=True, kw_only=True):
    """One use of an image by an article."""

    image: str  # the image's id: SHA-256 of its normalised URL, 32 hex digits
    source: str  # its URL, as the body has it
    role: str  # "cover", "body" or "icon"


class Enclosure(msgspec.Struct, frozen=True, kw_only=True):
    """A file that an article carries along: a podcast's episode, for one."""

    url: str
    type: str = ""  # media type; empty: the feed does not say
    length: int = 0  # bytes, as the feed says; 0: unknown


class Article(msgspec.Struct, frozen=True, kw_only=True):
    """An article as its feed gives it, the body with its source image URLs."""

    link_md5: str  # MD5 hex of `link`: the article's identity
    link: str
    title: str
    body: str
    body_type: str = "html"  # "html" or "text"
    author: str = ""
    published: str = ""  # the date as the feed gave it
    published_ms: int | None = None
    found_ms: int = 0  # when the fetcher first saw it
    images: tuple[WantedImage, ...] = ()  # every use: the cover's first, then the body's in their order
    covers: tuple[str, ...] = ()  # ids of images that may be the cover, best first; the first has the cover's use
    guid: str = ""  # the entry's own id
    enclosures: tuple[Enclosure, ...] = ()  # in the order of the feed


class ArticleFound(Message, frozen=True, kw_only=True, tag="article.found"):
    """A poll found an article that its feed did not have before."""

    request_id: str
    feed: int
    position: int  # of the entry in its feed, from 0
    article: Article

    @property
    def subject(self) -> str:
        """`evt.article.found`."""
        return "evt.article.found"

    @property
    def message_id(self) -> str:
        """One per poll and article."""
        return f"article.found:{self.request_id}:{self.article.link_md5}"


class ArticleUpdated(Message, frozen=True, kw_only=True, tag="article.updated"):
    """A poll found that an article known before has changed."""

    request_id: str
    feed: int
    position: int
    article: Article

    @property
    def subject(self) -> str:
        """`evt.article.updated`."""
        return "evt.article.updated"

    @property
    def message_id(self) -> str:
        """One per poll and article."""
        return f"article.updated:{self.request_id}:{self.article.link_md5}"


class ImageJob(Message, frozen=True, kw_only=True, tag="image.job"):
    """Mirror this image; said once while it is in flight, however many articles want it."""

    image: str
    source: str
    referer: str  # the link of the article that wants it first
    alternates: tuple[str, ...] = ()  # other URLs of the same picture, best first, for when `source` is dead
    request_id: str = ""  # the poll that asked first: for logs
    feed: int = 0
    again: bool = False  # somebody asks for it anew: try even if it was gone a moment ago

    @property
    def subject(self) -> str:
        """`job.image.<image>`."""
        return f"job.image.{self.image}"


class FeedFacts(msgspec.Struct, frozen=True, kw_only=True):
    """The feed's own description, as last read from it."""

    title: str = ""
    description: str = ""
    link: str = ""  # the site it belongs to
    icon: str | None = None  # source URL
    url: str = ""  # where it was found in the end: after permanent redirects and autodiscovery
    website: str | None = None  # the page it was discovered from, if it was
    weekly: int | None = None  # entries dated within the last seven days


class FeedPolled(Message, frozen=True, kw_only=True, tag="feed.polled"):
    """A poll ended: what it cost and what it found; said after all its articles."""

    request_id: str
    feed: int
    asked: bool  # somebody asked for it; False: the schedule did
    ok: bool
    error: str = ""  # why it failed, for people
    unchanged: bool = False  # 304, or the same body as last time
    http_status: int | None = None
    content_type: str = ""
    started_ms: int = 0
    fetch_ms: int = 0  # the HTTP exchange
    handle_ms: int = 0  # parsing and discovery
    entries: int = 0  # in the feed
    found: tuple[str, ...] = ()  # link_md5 of each new article
    updated: tuple[str, ...] = ()  # link_md5 of each changed one
    facts: FeedFacts | None = None  # None: nothing newly read
    icon: WantedImage | None = None
    invalid_hrefs: dict[str, int] = {}  # `<a href>` in the bodies that is no usable URL, to how often
    fetcher: str = ""  # the instance's name
    address_md5: str = ""  # MD5 hex of the fetcher's address
    next_ms: int | None = None  # when the next poll is due; None: not scheduled

    @property
    def subject(self) -> str:
        """`evt.feed.polled`."""
        return "evt.feed.polled"

    @property
    def message_id(self) -> str:
        """One per poll."""
        return f"feed.polled:{self.request_id}"


# ── the transcoder has an image stored ────────────────────────────────────────────────────────────────────


class Upload(Message, frozen=True, kw_only=True, tag="upload"):
    """Store these bytes; a request, the reply is `Uploaded` or `UploadRefused`."""

    image: str
    data: bytes
    content_type: str
    day: str  # `YYYY/MM/DD` of the poll: the object's folder
    job: int = 0  # sequence of the job that asks: asked again, the uploader says what it said the first time

    @property
    def subject(self) -> str:
        """`rpc.upload`."""
        return "rpc.upload"


class Uploaded(Message, frozen=True, kw_only=True, tag="uploaded"):
    """The bytes are stored and public at `url`."""

    url: str
    account: str
    http_code: int  # what the store answered: 201 stored now, 200 stored already
    created: bool  # False: these bytes were there before
    failed_accounts: tuple[str, ...] = ()  # accounts tried before this one, one entry per failure


class UploadRefused(Message, frozen=True, kw_only=True, tag="upload.refused"):
    """The bytes are not stored."""

    reason: str
    final: bool  # True: never try again
    unavailable: bool = False  # no account can take anything now, whatever the rendition
    retry_after: float | None = None  # seconds
    failed_accounts: tuple[str, ...] = ()


# ── an image is settled ───────────────────────────────────────────────────────────────────────────────────


class Attempt(msgspec.Struct, frozen=True, kw_only=True):
    """One try to get an image's bytes."""

    way: str  # "no referer", "article", "origin", …
    status: int | None = None  # HTTP; None where no answer came
    reason: str = ""  # why it did not do; empty where it did


class ImageMirrored(Message, frozen=True, kw_only=True, tag="image.mirrored"):
    """The image has a rendition with a CDN URL."""

    image: str
    source: str
    url: str  # the CDN URL
    width: int  # of the rendition, pixels
    height: int
    frames: int
    source_bytes: int
    rendition_bytes: int
    content_type: str = "image/webp"
    quality: int = 75
    lossless: bool = False
    download_ms: int = 0
    convert_ms: int = 0
    upload_ms: int = 0
    total_ms: int = 0
    settled_ms: int = 0
    attempts: tuple[Attempt, ...] = ()
    notes: tuple[str, ...] = ()  # what was done to it and why
    transcoder: str = ""  # the instance's name
    referer: str = ""  # the article whose link was at hand as Referer
    account: str = ""
    http_code: int = 201
    created: bool = True  # False: the store had these bytes already
    known: bool = False  # it was mirrored before: nothing was done now
    failed_accounts: tuple[str, ...] = ()
    job: int = 0  # sequence of the job that this answers

    @property
    def subject(self) -> str:
        """`evt.image.mirrored`."""
        return "evt.image.mirrored"

    @property
    def message_id(self) -> str:
        """One per job."""
        return f"image.mirrored:{self.image}:{self.job}"


class ImageFailed(Message, frozen=True, kw_only=True, tag="image.failed"):
    """The image could not be mirrored; its articles keep the source URL."""

    image: str
    source: str
    reason: str
    attempts: tuple[Attempt, ...] = ()
    source_bytes: int = 0
    download_ms: int = 0
    convert_ms: int = 0
    total_ms: int = 0
    settled_ms: int = 0
    transcoder: str = ""
    referer: str = ""
    failed_accounts: tuple[str, ...] = ()
    job: int = 0

    @property
    def subject(self) -> str:
        """`evt.image.failed`."""
        return "evt.image.failed"

    @property
    def message_id(self) -> str:
        """One per job."""
        return f"image.failed:{self.image}:{self.job}"


# ── the api has a record ──────────────────────────────────────────────────────────────────────────────────


class RecordCompleted(Message, frozen=True, kw_only=True, tag="record.completed"):
    """Everything that a poll wanted is settled; an update follows if that changes later."""

    request_id: str
    feed: int
    ok: bool
    articles: int
    mirrored: int  # unique images
    failed: int
    digest: str = ""  # of the record's bytes: differs where an update differs
    record: msgspec.Raw = msgspec.Raw(b"null")  # null where it is over 8 MB: get it from the api

    @property
    def subject(self) -> str:
        """`evt.record.completed`."""
        return "evt.record.completed"

    @property
    def message_id(self) -> str:
        """One per poll and content."""
        return f"record.completed:{self.request_id}:{self.digest}"


Event = ArticleFound | ArticleUpdated | FeedPolled | ImageMirrored | ImageFailed | RecordCompleted
UploadReply = Uploaded | UploadRefused
AnyMessage = FeedDue | ImageJob | Upload | Event | UploadReply

_json = msgspec.json.Decoder(AnyMessage)
_msgpack = msgspec.msgpack.Decoder(Upload)


def encode(message: Message) -> bytes:
    """Return the message's bytes as they travel."""
    return msgspec.msgpack.encode(message) if isinstance(message, Upload) else msgspec.json.encode(message)


def decode(data: bytes) -> AnyMessage:
    """Return the message in `data`.

    Raises:
        msgspec.DecodeError: `data` is no message of ours (`msgspec.ValidationError`: it breaks its schema).
    """
    try:
        return _json.decode(data) if data[:1] == b"{" else _msgpack.decode(data)
    except RecursionError as error:
        raise msgspec.DecodeError("it is nested too deeply") from error
