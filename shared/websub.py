"""WebSub (W3C Recommendation, 2018), the subscriber's side: pure decisions, and the entry that two services share.

The fetcher asks a hub for pushes (section 5.1); the api hears the hub's answers at the callback (5.3) and its pushes
(section 7). A subscription is one entry of the bucket `websub`, under the feed's id.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

DAY_MS = 86_400_000
LEASE_SECONDS = 10 * 86_400  # asked for; the hub decides
RENEWED_BEFORE_MS = DAY_MS  # of a lease's end, or in its last fifth
ASKED_AGAIN_MS = DAY_MS  # after a request that the hub has not confirmed
PATH = "/websub/{feed}/{token}"  # below the public URL: where the api listens
_DIGESTS = {"sha1": hashlib.sha1, "sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


class Subscription(msgspec.Struct, frozen=True, kw_only=True):
    """A feed's subscription at its hub; all times are Unix epoch milliseconds."""

    hub: str
    topic: str
    token: str  # in the callback's path: who does not know it is not the hub
    secret: str  # signs the pushes (HMAC)
    requested_ms: int = 0  # when the hub was asked last
    confirmed_ms: int = 0  # when it verified that we had
    lease_ms: int = 0  # when its pushes end; 0: not confirmed
    denied: str = ""  # the hub's reason not to; empty: it did not say so


def new_subscription(hub: str, topic: str) -> Subscription:
    """Return a subscription to ask for, with secrets of its own."""
    return Subscription(hub=hub, topic=topic, token=secrets.token_urlsafe(24), secret=secrets.token_hex(32))


def callback(public_url: str, feed: int, subscription: Subscription) -> str:
    """Return the URL that the hub is to call."""
    return public_url.rstrip("/") + PATH.format(feed=feed, token=subscription.token)


def request_form(public_url: str, feed: int, subscription: Subscription) -> dict[str, str]:
    """Return what is posted to the hub (section 5.1)."""
    return {
        "hub.callback": callback(public_url, feed, subscription),
        "hub.mode": "subscribe",
        "hub.topic": subscription.topic,
        "hub.lease_seconds": str(LEASE_SECONDS),
        "hub.secret": subscription.secret,
    }


def next_request_ms(subscription: Subscription) -> int:
    """Return when the hub is to be asked next: now, before the lease ends, or a day after it did not confirm."""
    if not subscription.requested_ms:
        return 0
    if subscription.confirmed_ms < subscription.requested_ms:
        return subscription.requested_ms + ASKED_AGAIN_MS
    last_fifth = (subscription.lease_ms - subscription.confirmed_ms) // 5
    return subscription.lease_ms - min(RENEWED_BEFORE_MS, last_fifth)


def knows(subscription: Subscription, token: str) -> bool:
    """Tell whether the token of a callback's path is the subscription's; compares in constant time."""
    return hmac.compare_digest(subscription.token.encode(), token.encode())


def hear(
    subscription: Subscription | None, token: str, query: Mapping[str, str], now_ms: int
) -> tuple[str, Subscription] | None:
    """Answer a GET at the callback (sections 5.2 and 5.3).

    Returns:
        The 200's body (the challenge, as text/plain) and the subscription to save; None: answer 404, for we did not
        ask for it.
    """
    if subscription is None or not knows(subscription, token) or query.get("hub.topic") != subscription.topic:
        return None
    mode = query.get("hub.mode")
    if mode == "denied":
        reason = query.get("hub.reason", "")[:200] or "the hub denied it"
        return "", msgspec.structs.replace(subscription, denied=reason, lease_ms=0)
    challenge, lease = query.get("hub.challenge", ""), query.get("hub.lease_seconds", "")
    if mode != "subscribe" or not challenge or not subscription.requested_ms:
        return None
    seconds = int(lease[:9]) if lease.isascii() and lease.isdigit() else LEASE_SECONDS
    confirmed = max(now_ms, subscription.requested_ms)
    lease_ms = confirmed + seconds * 1000
    return challenge, msgspec.structs.replace(subscription, confirmed_ms=confirmed, lease_ms=lease_ms, denied="")


def is_genuine(subscription: Subscription | None, token: str, signature: str, body: bytes) -> bool:
    """Whether a POST at the callback is the hub's (section 7.1); if not, it is answered the same and ignored.

    Args:
        subscription: The feed's.
        token: Of the path.
        signature: The `X-Hub-Signature` header: `method=hex`.
        body: As it came.
    """
    if subscription is None or not knows(subscription, token):
        return False
    method, _, given = signature.strip().partition("=")
    digest = _DIGESTS.get(method.lower())
    if digest is None:
        return False
    expected = hmac.new(subscription.secret.encode(), body, digest).hexdigest()
    return hmac.compare_digest(expected.encode(), given.strip().lower().encode())


def decode_subscription(value: bytes) -> Subscription:
    """Return the subscription in the bucket's entry.

    Raises:
        msgspec.DecodeError: It is none.
    """
    return msgspec.json.decode(value, type=Subscription)


def usable_topic(self_url: str | None, feed_url: str) -> str:
    """Return the topic: what the feed names as itself, else where it was had from."""
    return self_url if self_url and urlsplit(self_url).scheme in {"http", "https"} else feed_url
