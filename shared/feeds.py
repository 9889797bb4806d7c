"""What the fetcher must know of a feed to poll it: one entry of the bucket `feeds`, written by the api alone."""

import msgspec


class FeedConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One feed as its subscriber wants it polled; kept under `str(feed)`."""

    feed: int  # its id: the row in the api's database
    url: str
    subscribed: bool = False  # polled on a schedule; False: only when somebody asks
    paused: bool = False  # subscribed, but not polled on the schedule for now
    interval_s: int | None = None  # seconds between polls; None: the fetcher decides by what the feed does
    user_agent: str | None = None  # None: Halftone's own
    headers: dict[str, str] = {}  # sent along with every request for the feed
    proxy: str | None = None  # URL of the HTTP proxy to go through


def encode_config(config: FeedConfig) -> bytes:
    """Return the entry's value: a JSON object."""
    return msgspec.json.encode(config)


def decode_config(value: bytes) -> FeedConfig:
    """Return the feed's configuration from the entry's value.

    Raises:
        msgspec.DecodeError: It is none.
    """
    return msgspec.json.decode(value, type=FeedConfig)
