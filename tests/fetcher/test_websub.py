"""WebSub: what is told to hubs, what is believed of them, and the whole exchange with a hub on loopback."""

import hashlib
import hmac
import time
from collections.abc import AsyncIterator
from urllib.parse import parse_qs, urlsplit

import msgspec
import pytest

from services.fetcher.feed import ParsedFeed
from services.fetcher.politeness import Politeness
from services.fetcher.state import FeedState, Push
from services.fetcher.websub import SAFETY_NET_MS, Subscriber, can_call_back, stretched
from shared.memory import MemoryBus
from shared.topology import WEBSUB
from shared.web import Web
from shared.websub import (
    ASKED_AGAIN_MS,
    DAY_MS,
    Subscription,
    callback,
    decode_subscription,
    hear,
    is_genuine,
    new_subscription,
    next_request_ms,
    request_form,
)
from tests.servers import Request, Site, response, running_site

NOW = 1_700_000_000_000
PUBLIC = "https://reader.example"
TOPIC = "https://blog.example/feed"
ASKED = msgspec.structs.replace(new_subscription("https://hub.example/", TOPIC), requested_ms=NOW)
INTENT = {"hub.mode": "subscribe", "hub.topic": TOPIC, "hub.challenge": "c4", "hub.lease_seconds": "864000"}


def test_a_hub_is_told_a_callback_that_nobody_can_guess_and_a_secret() -> None:
    form = request_form(PUBLIC, 7, ASKED)
    assert form == {
        "hub.callback": f"{PUBLIC}/websub/7/{ASKED.token}",
        "hub.mode": "subscribe",
        "hub.topic": TOPIC,
        "hub.lease_seconds": "864000",
        "hub.secret": ASKED.secret,
    }
    assert (len(ASKED.token) >= 32, 32 <= len(ASKED.secret) < 200) == (True, True)


def test_the_challenge_is_given_back_and_the_lease_kept() -> None:
    heard = hear(ASKED, ASKED.token, INTENT, NOW + 5)
    assert heard
    assert (heard[0], heard[1].lease_ms) == ("c4", NOW + 5 + 10 * DAY_MS)


@pytest.mark.parametrize(
    "query",
    [
        INTENT | {"hub.topic": "https://other.example/"},
        INTENT | {"hub.mode": "unsubscribe"},
        INTENT | {"hub.challenge": ""},
        {},
    ],
)
def test_what_we_did_not_ask_for_is_not_confirmed(query: dict[str, str]) -> None:
    assert hear(ASKED, ASKED.token, query, NOW) is None
    assert hear(None, ASKED.token, INTENT, NOW) is None
    assert hear(ASKED, "guess", INTENT, NOW) is None
    assert hear(msgspec.structs.replace(ASKED, requested_ms=0), ASKED.token, INTENT, NOW) is None


def test_a_denial_ends_the_pushes() -> None:
    confirmed = msgspec.structs.replace(ASKED, confirmed_ms=NOW, lease_ms=NOW + DAY_MS)
    heard = hear(confirmed, ASKED.token, {"hub.mode": "denied", "hub.topic": TOPIC, "hub.reason": "no"}, NOW)
    assert heard
    assert (heard[1].denied, heard[1].lease_ms) == ("no", 0)


@pytest.mark.parametrize("method", ["sha1", "sha256", "sha384", "sha512"])
def test_a_signed_push_is_believed_and_a_forged_one_is_not(method: str) -> None:
    body = b"<feed/>"
    signature = hmac.new(ASKED.secret.encode(), body, method).hexdigest()
    assert is_genuine(ASKED, ASKED.token, f"{method}={signature}", body)
    assert not is_genuine(ASKED, ASKED.token, f"{method}={signature}", body + b" ")
    assert not is_genuine(ASKED, "guess", f"{method}={signature}", body)
    assert not is_genuine(None, ASKED.token, f"{method}={signature}", body)


@pytest.mark.parametrize("signature", ["", "sha256=", "md5=" + "0" * 32, "sha256=ü", hashlib.sha256().hexdigest()])
def test_a_push_without_a_proper_signature_is_not_believed(signature: str) -> None:
    assert not is_genuine(ASKED, ASKED.token, signature, b"")


def test_a_lease_is_renewed_before_it_ends_and_a_silent_hub_asked_again_after_a_day() -> None:
    long = msgspec.structs.replace(ASKED, confirmed_ms=NOW, lease_ms=NOW + 10 * DAY_MS)
    short = msgspec.structs.replace(ASKED, confirmed_ms=NOW, lease_ms=NOW + 1000_000)
    assert [next_request_ms(one) - NOW for one in (long, short, ASKED)] == [9 * DAY_MS, 800_000, ASKED_AGAIN_MS]


@pytest.mark.parametrize(
    ("public_url", "hub", "can"),
    [
        ("", "https://hub.example/", False),
        ("http://127.0.0.1:8080", "https://hub.example/", False),
        ("http://localhost:8080", "https://hub.example/", False),
        ("http://10.1.2.3", "https://hub.example/", False),
        ("http://lonely", "https://hub.example/", False),
        ("https://reader.example", "https://hub.example/", True),
        ("http://127.0.0.1:8080", "http://127.0.0.1:9000/hub", True),
    ],
)
def test_a_hub_is_told_only_of_a_callback_that_it_can_reach(public_url: str, hub: str, can: bool) -> None:
    assert can_call_back(public_url, hub, frozenset({("127.0.0.1", 9000)})) == can


def test_polls_are_a_safety_net_while_the_hub_pushes() -> None:
    push = Push("h", "t", look_ms=NOW + 9 * DAY_MS, until_ms=NOW + 10 * DAY_MS)
    due = NOW + 300_000
    assert [stretched(due, one, NOW) for one in (push, None, msgspec.structs.replace(push, until_ms=NOW))] == [
        NOW + SAFETY_NET_MS,
        due,
        due,
    ]
    assert stretched(NOW + DAY_MS, push, NOW) == NOW + DAY_MS


@pytest.fixture
async def hub() -> AsyncIterator[Site]:
    async with running_site() as running:
        yield running


@pytest.fixture
async def bus() -> AsyncIterator[MemoryBus]:
    memory = MemoryBus()
    yield memory
    await memory.close()


def subscriber(bus: MemoryBus, web: Web, hub: Site) -> Subscriber:
    return Subscriber(bus, web, Politeness(bus, rate=30, me="a"), PUBLIC, frozenset({hub.origin}))


async def saved(bus: MemoryBus) -> Subscription:
    entry = await bus.bucket(WEBSUB).get("7")
    assert entry
    return decode_subscription(entry.value)


async def test_a_feed_that_names_a_hub_is_subscribed_once_and_pushes_stretch_its_polls(
    bus: MemoryBus, hub: Site
) -> None:
    hub.page("/hub", status="202 Accepted")
    async with Web(frozenset({hub.origin})) as web:
        hubs = subscriber(bus, web, hub)
        parsed = ParsedFeed(kind="atom", hub=hub.url("/hub"), self_url=TOPIC)
        state = await hubs.keep(7, hubs.named(FeedState(), parsed, "https://blog.example/rss", ""))
        assert await hubs.keep(7, hubs.named(state, parsed, "https://blog.example/rss", "")) == state
        assert [request.method for request in hub.requests] == ["POST"]
        heard = hear(await saved(bus), (await saved(bus)).token, INTENT, int(time.time() * 1000))
        assert heard
        await bus.bucket(WEBSUB).put("7", msgspec.json.encode(heard[1]))
        assert state.push
        later = msgspec.structs.replace(state, push=msgspec.structs.replace(state.push, look_ms=0))
        after = await hubs.keep(7, later)
    assert after.push
    assert (len(hub.requests), after.push.until_ms) == (1, heard[1].lease_ms)


async def test_a_hub_that_verifies_before_it_answers_is_believed(bus: MemoryBus, hub: Site) -> None:
    async def verify(_: Request) -> None:
        heard = hear(await saved(bus), (await saved(bus)).token, INTENT, int(time.time() * 1000))
        assert heard
        await bus.bucket(WEBSUB).put("7", msgspec.json.encode(heard[1]))

    async with Web(frozenset({hub.origin})) as web:
        hubs = subscriber(bus, web, hub)

        def answer(request: Request) -> object:
            async def reply(writer: object) -> None:
                await verify(request)
                writer.write(response(b"", "202 Accepted"))  # type: ignore[attr-defined]

            return reply

        hub.pages["/hub"] = answer  # type: ignore[assignment]
        named = hubs.named(FeedState(), ParsedFeed(kind="rss"), TOPIC, f'<{hub.url("/hub")}>; rel="hub"')
        after = await hubs.keep(7, named)
    assert after.push
    assert after.push.until_ms > time.time() * 1000


async def test_a_feed_without_a_hub_costs_nothing(bus: MemoryBus, hub: Site) -> None:
    async with Web() as web:
        hubs = subscriber(bus, web, hub)
        state = hubs.named(FeedState(), ParsedFeed(kind="rss"), TOPIC, '</next>; rel="next"')
        assert await hubs.keep(7, state) == state == FeedState()
    assert await bus.bucket(WEBSUB).keys() == []


async def test_a_hub_that_is_down_does_not_matter_and_is_asked_again_tomorrow(bus: MemoryBus) -> None:
    async with Web(frozenset({("127.0.0.1", 1)})) as web:
        hubs = Subscriber(bus, web, Politeness(bus, rate=30, me="a"), PUBLIC)
        state = await hubs.keep(7, FeedState(push=Push("http://127.0.0.1:1/", TOPIC)))
    assert state.push
    assert (state.push.until_ms, next_request_ms(await saved(bus)) > time.time() * 1000 + DAY_MS / 2) == (0, True)


def test_the_callback_is_below_the_public_url() -> None:
    url = urlsplit(callback(PUBLIC + "/", 7, ASKED))
    assert (url.path.split("/")[1:3], parse_qs(url.query)) == (["websub", "7"], {})
