"""Every metric of the system, named and explained once, by Prometheus' naming conventions."""

from collections.abc import Generator
from contextlib import contextmanager
from time import perf_counter

from prometheus_client import Counter, Gauge, Histogram, Info

STAGE_BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

STAGES = Histogram(
    "halftone_stage_seconds",
    "Time that one stage took: poll, parse, image, download, render, upload, store, commit, assemble.",
    ["stage"],
    buckets=STAGE_BUCKETS,
)

MESSAGES = Counter(
    "halftone_messages_total",
    "Messages settled, by actor and result: ok, rejected, retried, dead.",
    ["actor", "result"],
)
REDELIVERIES = Counter("halftone_redeliveries_total", "Messages that came again.", ["actor"])
IN_HAND = Gauge("halftone_messages_in_hand", "Messages being handled right now.", ["actor"])

BUS_RETRIES = Counter("halftone_bus_retries_total", "Calls to the broker that had to be tried again.")
BUS_ERRORS = Counter("halftone_bus_errors_total", "Errors that the broker reported: denied publishes show only here.")

BUS_CONNECTED = Gauge("halftone_bus_connected", "1 while there is a connection to the broker.")

QUEUE_WAITING = Gauge(
    "halftone_queue_waiting", "Messages that nobody has yet, by consumer; every replica says the same.", ["consumer"]
)
QUEUE_UNSETTLED = Gauge("halftone_queue_unsettled", "Messages handed out and not settled, by consumer.", ["consumer"])
QUEUE_OLDEST = Gauge(
    "halftone_queue_oldest_seconds",
    "Age of the oldest message not settled, by consumer; 0: there is none.",
    ["consumer"],
)
STREAM_MESSAGES = Gauge("halftone_stream_messages", "Messages in the stream.", ["stream"])
STREAM_BYTES = Gauge("halftone_stream_bytes", "Bytes of the stream on one broker's disk.", ["stream"])
DEAD_LETTERS = Gauge("halftone_dead_letters", "Messages given up that wait for somebody: `halftone dlq list`.")
BROKER_STORAGE = Gauge("halftone_broker_storage_bytes", "Bytes that all streams take, copies included.")
BROKER_STORAGE_LIMIT = Gauge("halftone_broker_storage_limit_bytes", "Bytes that all streams may take; 0: no limit.")
DATA_FREE = Gauge("halftone_data_free_bytes", "Bytes free where the service keeps its data.")
DATA_SIZE = Gauge("halftone_data_size_bytes", "Bytes of the disk where the service keeps its data.")
BUILD = Info("halftone_build", "The running program: its service, version and revision.")

POLLS = Counter("halftone_polls_total", "Polls, by result: changed, unchanged, failed, put off.", ["result"])
POLL_FAILURES = Counter(
    "halftone_poll_failures_total", "Failed polls, by the last answer's HTTP status class.", ["status"]
)
ARTICLES = Counter("halftone_articles_total", "Articles seen by polls, by kind: found, updated.", ["kind"])
FEED_BYTES = Counter("halftone_feed_bytes_total", "Bytes of feed bodies, inflated.")

IMAGES = Counter("halftone_images_total", "Image jobs, by result: mirrored, known, failed.", ["result"])
IMAGE_FAILURES = Counter(
    "halftone_image_failures_total", "Images that failed, by the step that did: download, render, upload.", ["step"]
)
DOWNLOADS = Counter(
    "halftone_downloads_total",
    "Attempts to get an image's bytes, by way and HTTP status class.",
    ["way", "status"],
)
SOURCE_BYTES = Counter("halftone_source_bytes_total", "Bytes of images downloaded.")
RENDITION_BYTES = Counter("halftone_rendition_bytes_total", "Bytes of renditions made.")

UPLOADS = Counter(
    "halftone_uploads_total",
    "Uploads, by account and result: created, existed, failed.",
    ["account", "result"],
)
ACCOUNTS_ABLE = Gauge("halftone_accounts_able", "Storage accounts that can take an object now.")
ACCOUNT_BREAKER = Gauge(
    "halftone_account_breaker_open", "1 where the account's breaker is open or half-open.", ["account"]
)
ACCOUNT_BYTES = Gauge("halftone_account_bytes", "Bytes stored in the account.", ["account"])
ACCOUNT_RATE = Gauge(
    "halftone_account_writes_left", "Writes that the account's rate leaves for now; none: no limit.", ["account"]
)

RECORDS = Counter("halftone_records_total", "Records completed, by result: ok, failed.", ["result"])


_KNOWN_LABELS = {
    "fetcher": (
        (POLLS, ("changed", "unchanged", "failed", "put off")),
        (POLL_FAILURES, ("2xx", "3xx", "4xx", "5xx", "none")),
        (ARTICLES, ("found", "updated")),
    ),
    "transcoder": (
        (IMAGES, ("mirrored", "known", "failed")),
        (IMAGE_FAILURES, ("download", "render", "upload")),
    ),
    "uploader": (),
    "api": ((RECORDS, ("ok", "failed")),),
}


def start_at_zero(service: str) -> None:
    """Show from the start the counters whose labels are known: a first increase is one only from a zero."""
    for counter, labels in _KNOWN_LABELS.get(service, ()):
        for label in labels:
            counter.labels(label)


def actor_starts(actor: str) -> None:
    """Do the same for an actor's own."""
    REDELIVERIES.labels(actor)
    for result in ("ok", "rejected", "retried", "dead"):
        MESSAGES.labels(actor, result)


def status_class(status: int | None) -> str:
    """Return an HTTP status as a label of few values: 2xx, 3xx, 4xx, 5xx; none: no answer."""
    return f"{status // 100}xx" if status else "none"


def rendered(decode_ms: int, render_ms: int) -> None:
    """Time the two parts of rendering; an animation's decoding, which goes on during the encoding, counts there."""
    if decode_ms:
        STAGES.labels("decode").observe(decode_ms / 1000)
    STAGES.labels("encode").observe(max(0, render_ms - decode_ms) / 1000)


def message_received(actor: str, tries: int) -> None:
    """Count a delivery that is not the message's first."""
    if tries > 1:
        REDELIVERIES.labels(actor).inc()


def message_settled(actor: str, result: str) -> None:
    """Count how a message ended this time."""
    MESSAGES.labels(actor, result).inc()


@contextmanager
def in_hand(actor: str) -> Generator[None]:
    """Count one more message in hand while the block runs."""
    with IN_HAND.labels(actor).track_inprogress():
        yield


class Stopwatch:
    """The milliseconds that a stage took; running ones read the time so far."""

    def __init__(self) -> None:
        self._start = perf_counter()
        self._end: float | None = None

    def stop(self) -> None:
        """Freeze the reading."""
        self._end = perf_counter()

    @property
    def ms(self) -> int:
        """Whole milliseconds."""
        return round(((self._end or perf_counter()) - self._start) * 1000)


@contextmanager
def stage(name: str) -> Generator[Stopwatch]:
    """Time a stage into its histogram; yields the stopwatch, whose reading stays."""
    watch = Stopwatch()
    try:
        with STAGES.labels(name).time():
            yield watch
    finally:
        watch.stop()
