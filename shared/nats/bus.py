"""The bus over one connection to NATS JetStream.

Sources: ADR-1 (JetStream JSON API), ADR-8 (key-value), ADR-13 (pull subscribe), ADR-51 (message scheduler) of
the NATS architecture notes; each rule was verified on nats-server 2.15.1.
"""

import asyncio
import json
import random
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, TypeVar

import nats
import nats.errors
import structlog
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.errors import APIError

from shared import metrics, tracing
from shared.bus import Answer, BusUnavailable, NoReply, Oversized
from shared.errors import Misconfigured
from shared.messages import FeedDue, Message, encode
from shared.nats.buckets import NatsBucket
from shared.nats.errors import TRANSIENT
from shared.nats.mailbox import NatsMailbox
from shared.nats.serving import NatsServing
from shared.topology import FEEDS, Bucket, Consumer

log = structlog.get_logger()

PATIENCE = 30.0  # seconds for which a publish is tried: a cluster's new leader takes 5 to 9
ATTEMPT = 1.0  # seconds for one try
LIMIT_EXCEEDED = 10077  # err_code of a publish that a stream's limit refuses
ALREADY_IN_FLIGHT = "maximum messages per subject exceeded"  # the limit that says: this very job is there

T = TypeVar("T")


class NatsBus:
    """The `Bus` protocol over one connection."""

    def __init__(self, name: str, *, lost: Callable[[], None] = lambda: None) -> None:
        """Prepare.

        Args:
            name: What the broker calls this connection.
            lost: Called where the client has given up the connection for good, as it does on a protocol error.
        """
        self._name = name
        self._lost = lost
        self._connected = False  # once
        self._leaving = False
        self._client = Client()
        self._js = self._client.jetstream(timeout=ATTEMPT)
        self._up = asyncio.Event()
        self._last_error = ""
        self._refusal: str = ""  # why it does not let us in; other tries may be cut off before it has said so
        self._mailboxes: list[NatsMailbox] = []
        self._buckets: dict[str, NatsBucket] = {}

    async def connect(
        self, url: str, *, user: str = "", password: str = "", tls_ca: str = "", patience: float = 60.0
    ) -> None:
        """Connect, waiting up to `patience` seconds for a broker that is not there yet.

        Raises:
            Misconfigured: No broker answered at `url`, it refused the credentials, or `url` is no address of one.
        """
        options: dict[str, Any] = {"user": user, "password": password} if user else {}
        if tls_ca:
            options["tls"] = ssl.create_default_context(cafile=tls_ca)
        try:
            async with asyncio.timeout(patience):
                await self._client.connect(
                    url.split(","),
                    name=self._name,
                    inbox_prefix=f"_INBOX_{user or self._name}",
                    max_reconnect_attempts=-1,
                    reconnect_time_wait=0.25,  # pyright: ignore[reportArgumentType] - seconds, floats work
                    ping_interval=10,
                    connect_timeout=2,
                    pending_size=256 * 1024 * 1024,
                    error_cb=self._on_error,
                    disconnected_cb=self._on_disconnect,
                    reconnected_cb=self._on_reconnect,
                    closed_cb=self._on_closed,
                    **options,
                )
        except TimeoutError:
            raise Misconfigured(_unconnected(url, patience, self._refusal or self._last_error)) from None
        except nats.errors.Error as error:
            raise Misconfigured(f"HALFTONE_NATS_URL is {url!r}: {error}") from error
        self._connected = True
        self._up.set()

    @property
    def client(self) -> Client:
        """The connection itself: for provisioning."""
        return self._client

    @property
    def js(self) -> JetStreamContext:
        """Its JetStream context, `ATTEMPT` seconds a call."""
        return self._js

    @property
    def connected(self) -> bool:
        """Whether the broker is there right now."""
        return self._client.is_connected

    async def publish(self, message: Message, *, headers: Mapping[str, str] | None = None) -> None:
        """See `Bus.publish`."""
        all_headers = {**tracing.headers(getattr(message, "request_id", "")), **(headers or {})}
        if message.message_id:
            all_headers["Nats-Msg-Id"] = message.message_id
        await self.publish_raw(message.subject, encode(message), all_headers)

    async def publish_raw(self, subject: str, data: bytes, headers: Mapping[str, str]) -> None:
        """See `Bus.publish_raw`."""

        async def attempt() -> None:
            try:
                await self.js.publish(subject, data, timeout=ATTEMPT, headers=dict(headers) or None)
            except APIError as error:
                if error.err_code != LIMIT_EXCEEDED or ALREADY_IN_FLIGHT not in str(error.description):
                    raise

        await self.patiently(attempt, f"publish on {subject}")

    async def schedule(self, message: FeedDue, at: datetime) -> None:
        """See `Bus.schedule`; the broker itself publishes the message when its time comes."""
        headers = {
            "Nats-Schedule": f"@at {at.astimezone(UTC).isoformat(timespec='milliseconds')}",
            "Nats-Schedule-Target": message.subject,
        }
        await self.publish_raw(message.schedule_subject, encode(message), headers)

    async def scheduled(self) -> set[int]:
        """See `Bus.scheduled`."""
        subjects: list[str] = []
        while True:
            query = json.dumps({"subjects_filter": "feed.>", "offset": len(subjects)}).encode()
            reply = await self.patiently(
                lambda query=query: self._client.request(
                    f"$JS.API.STREAM.INFO.{FEEDS.name}", query, timeout=10 * ATTEMPT
                ),
                "list the schedules",
            )
            info = json.loads(reply.data)
            page: dict[str, int] = info.get("state", {}).get("subjects") or {}
            subjects += page
            if not page or len(subjects) >= info.get("total", 0):
                return {int(subject.rsplit(".", 1)[1]) for subject in subjects}

    async def unschedule(self, feed: int) -> None:
        """See `Bus.unschedule`."""
        for subject in (f"feed.sched.{feed}", f"feed.due.{feed}"):
            await self.patiently(
                lambda subject=subject: self.js.purge_stream(FEEDS.name, subject=subject), f"purge {subject}"
            )

    def mailbox(self, consumer: Consumer) -> NatsMailbox:
        """See `Bus.mailbox`."""
        mailbox = NatsMailbox(self._client, consumer)
        self._mailboxes.append(mailbox)
        return mailbox

    async def request(self, message: Message, *, timeout: float) -> bytes:  # noqa: ASYNC109 - the wire's limit
        """See `Bus.request`."""
        try:
            reply = await self._client.request(
                message.subject, encode(message), timeout=timeout, headers=tracing.headers() or None
            )
        except nats.errors.MaxPayloadError as error:
            raise self._oversized(f"ask on {message.subject}") from error
        except TRANSIENT as error:
            raise NoReply(f"no answer on {message.subject}: {type(error).__name__}") from error
        return reply.data

    async def serve(self, subject: str, group: str, answer: Answer, *, slots: int) -> NatsServing:
        """See `Bus.serve`."""
        serving = NatsServing(answer, slots)
        serving.subscription = await self._client.subscribe(
            subject, group, cb=serving.on_request, pending_bytes_limit=-1
        )
        await self._client.flush()
        return serving

    async def follow(self, subject: str) -> AsyncIterator[tuple[str, bytes]]:
        """See `Bus.follow`."""
        subscription = await self._client.subscribe(subject)
        try:
            async for message in subscription.messages:
                yield message.subject, message.data
        finally:
            with suppress(nats.errors.Error):
                await subscription.unsubscribe()

    def bucket(self, bucket: Bucket) -> NatsBucket:
        """See `Bus.bucket`."""
        return self._buckets.setdefault(bucket.name, NatsBucket(self, bucket.name))

    async def close(self) -> None:
        """See `Bus.close`."""
        self._leaving = True
        try:
            await self._client.flush(timeout=2)
        except (nats.errors.Error, TimeoutError):
            pass
        except asyncio.CancelledError:  # of the client's own future, where the broker dies meanwhile
            if (task := asyncio.current_task()) and task.cancelling():
                raise
        with suppress(OSError, RuntimeError):  # it writes what is left to a broker that has just died
            await self._client.close()

    async def patiently(self, attempt: Callable[[], Awaitable[T]], what: str) -> T:
        """Return what `attempt` returns, tried anew while the broker is away or without a leader.

        Raises:
            BusUnavailable: It was for `PATIENCE` seconds, or it refuses for good.
            Oversized: It does not take so many bytes.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + PATIENCE
        while True:
            try:
                async with asyncio.timeout_at(deadline):
                    await self._up.wait()
                return await attempt()
            except TRANSIENT as error:
                metrics.BUS_RETRIES.inc()
                if loop.time() >= deadline:
                    raise BusUnavailable(f"the broker did not {what} for {PATIENCE:.0f} s") from error
            except APIError as error:
                raise BusUnavailable(f"the broker refuses to {what}: {error.description}") from error
            except nats.errors.MaxPayloadError as error:
                raise self._oversized(what) from error
            await asyncio.sleep(random.uniform(0.05, 0.3))  # noqa: S311 - jitter, not a secret

    def _oversized(self, what: str) -> Oversized:
        return Oversized(f"cannot {what}: the broker takes no more than {self._client.max_payload:,} bytes at once")

    async def _on_error(self, error: Exception) -> None:
        metrics.BUS_ERRORS.inc()
        reason = str(error) or type(error).__name__
        if reason != self._last_error:  # a broker that is away says the same four times a second
            log.warning("broker error", reason=reason)
        self._last_error = reason
        if _refuses(reason):
            self._refusal = reason

    async def _on_disconnect(self) -> None:
        self._up.clear()
        if not self._client.is_closed:  # we did not leave ourselves
            log.warning("broker connection lost")

    async def _on_closed(self) -> None:
        if self._connected and not self._leaving:
            log.error("the connection to the broker is lost for good", reason=str(self._client.last_error))
            self._lost()

    async def _on_reconnect(self) -> None:
        self._up.set()
        self._last_error = ""
        log.info("broker connection back")
        for mailbox in self._mailboxes:
            mailbox.reset()


def _refuses(reason: str) -> bool:
    return "authorization" in reason.lower()


def _unconnected(url: str, patience: float, reason: str) -> str:
    if _refuses(reason):
        return f"the broker at {url} refused us ({reason}): set HALFTONE_NATS_USER and HALFTONE_NATS_PASSWORD"
    why = f" ({reason})" if reason else ""
    return f"no broker answered at {url} within {patience:.0f} s{why}: start it, or set HALFTONE_NATS_URL"
