"""The streams, consumers and buckets of the system: one table, made real by provisioning alone."""

import msgspec


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """A JetStream stream; ages and windows in seconds, 0 for no limit."""

    name: str
    subjects: tuple[str, ...]
    work_queue: bool = False  # a message is gone once acked; otherwise limits decide
    one_per_subject: bool = False
    refuse_second: bool = False  # of a subject: refuse the newer (True) or replace the older (False)
    schedules: bool = False  # takes messages for later
    max_age: float = 0
    duplicate_window: float = 120


class Consumer(msgspec.Struct, frozen=True, kw_only=True):
    """A durable pull consumer, shared by all replicas of the service that it is named after."""

    name: str
    stream: str
    filter: str
    ack_wait: float = 30  # seconds without a sign of life until a message goes to another replica
    max_ack_pending: int = 1_000


class Bucket(msgspec.Struct, frozen=True, kw_only=True):
    """A key-value bucket; `ttl` in seconds, 0 for ever."""

    name: str
    holds: str
    ttl: float = 0


DAY = 86_400.0

FEEDS = Stream(
    name="FEEDS",
    subjects=("feed.sched.*", "feed.due.*"),
    work_queue=True,
    one_per_subject=True,
    schedules=True,
)
JOBS = Stream(name="JOBS", subjects=("job.image.*",), work_queue=True, one_per_subject=True, refuse_second=True)
EVENTS = Stream(name="EVENTS", subjects=("evt.>",), max_age=7 * DAY, duplicate_window=600)
DLQ = Stream(name="DLQ", subjects=("dlq.>",), max_age=30 * DAY)
STREAMS = (FEEDS, JOBS, EVENTS, DLQ)

FETCHER = Consumer(name="fetcher", stream="FEEDS", filter="feed.due.*")
TRANSCODER = Consumer(name="transcoder", stream="JOBS", filter="job.image.*")
API = Consumer(name="api", stream="EVENTS", filter="evt.>", max_ack_pending=5_000)
CONSUMERS = (FETCHER, TRANSCODER, API)

FEED_CONFIGS = Bucket(name="feeds", holds="feed id → what to poll and how; the api writes it")
FEED_STATES = Bucket(name="feed_states", holds="feed id → validators, seen entries, errors; the fetcher's")
IMAGES = Bucket(name="images", holds="image id → how it was settled; the transcoder's", ttl=90 * DAY)
RENDITIONS = Bucket(name="renditions", holds="content hash → CDN URL; the uploader's")
ACCOUNTS = Bucket(name="accounts", holds="storage account → breaker, use, rate; the uploader's")
HOSTS = Bucket(name="hosts", holds="host → politeness and which way of getting images works", ttl=30 * DAY)
WEBSUB = Bucket(name="websub", holds="feed id → its subscription at a hub; the fetcher asks, the api hears")
BUCKETS = (FEED_CONFIGS, FEED_STATES, IMAGES, RENDITIONS, ACCOUNTS, HOSTS, WEBSUB)

RPC_UPLOAD = "rpc.upload"  # core request/reply, the bytes inline
UPLOADERS = "uploader"  # its queue group
MAX_PAYLOAD = 32 * 1024 * 1024  # bytes: the broker's limit on one message


def subscriber(name: str) -> Consumer:
    """Return the durable through which somebody outside reads the events."""
    return Consumer(name=name, stream="EVENTS", filter="evt.>")
