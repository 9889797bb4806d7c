"""The assembler: takes every event of the system and joins them into one record per poll.

    event ─▶ written, in one transaction with what else is in hand        (writer, batch)
          ─▶ polls that it touches are looked at: is nothing missing?      (completer)
          ─▶ the record is built from the facts and kept                   (reading, record)
          ─▶ RecordCompleted

Events come in any order and more than once: each is an upsert on natural keys, and an image's result settles all
who want it. A poll also ends by the clock, at its deadline (clock). Nothing is kept in memory alone, so that a
replica may die at any point and another goes on.
"""

from collections.abc import AsyncIterator, Sequence

from services.api.batch import Received
from services.api.feeds import Feeds
from services.api.writer import Writer
from shared.actor import Envelope
from shared.errors import Reject, Retry
from shared.messages import (
    AnyMessage,
    ArticleFound,
    ArticleUpdated,
    FeedPolled,
    ImageFailed,
    ImageMirrored,
    Message,
    RecordCompleted,
)
from shared.topology import API, Consumer

MAX_TRIES = 10  # a database that is away costs none: the writer waits for it
IN_HAND = 128  # events that may share one transaction


class Assembler:
    """Writes events; what follows from them is the completer's, since records also complete without any."""

    consumer: Consumer = API
    max_tries: int = MAX_TRIES

    def __init__(self, writer: Writer, feeds: Feeds) -> None:
        self._writer = writer
        self._feeds = feeds

    async def handle(self, message: AnyMessage, envelope: Envelope) -> AsyncIterator[Sequence[Message]]:
        """See `Handler`: ends once the event is committed."""
        match message:
            case ArticleFound() | ArticleUpdated() | FeedPolled() | ImageMirrored() | ImageFailed() | RecordCompleted():
                await self._writer.write(Received(message, envelope))
                if isinstance(message, FeedPolled) and message.facts and message.facts.website:
                    await self._feeds.tell_again(message.feed)  # that it has an address of its own
            case _:
                raise Reject(f"{type(message).__name__} is no event")
        yield ()

    def settle_failed(self, message: AnyMessage, envelope: Envelope, error: Reject | Retry) -> Sequence[Message]:
        """See `Handler`: nobody waits for an answer; the poll ends at its deadline."""
        del message, envelope, error
        return ()
