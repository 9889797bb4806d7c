"""The callback that hubs call: only what we asked for is confirmed, only what the hub signed has a feed polled."""

import asyncio
import hashlib
import hmac
import time

import msgspec
import pytest

from shared.topology import FETCHER, WEBSUB
from shared.websub import Subscription, callback, decode_subscription, new_subscription
from tests.api.builders import SITE
from tests.api.running import Site, next_due
from tests.api.stories import FEED_URL

NEWS = b"<rss><channel><item/></channel></rss>" * 3_000  # longer than other requests may be


@pytest.fixture
def database_url() -> str:
    """SQLite: nothing here depends on the kind of database."""
    return ""


@pytest.fixture
async def asked(site: Site) -> Subscription:
    """What the fetcher keeps once it has asked the hub of feed 1."""
    subscription = new_subscription("https://hub.example/", FEED_URL)
    subscription = msgspec.structs.replace(subscription, requested_ms=int(time.time() * 1000) - 5_000)
    await site.client.post("/api/feeds", json={"url": FEED_URL})
    await next_due(site.bus)
    await site.bus.bucket(WEBSUB).put("1", msgspec.json.encode(subscription))
    return subscription


def path(subscription: Subscription) -> str:
    return callback("", 1, subscription)


def signed(subscription: Subscription) -> dict[str, str]:
    digest = hmac.new(subscription.secret.encode(), NEWS, hashlib.sha256).hexdigest()
    return {"X-Hub-Signature": f"sha256={digest}"}


async def test_a_hub_that_verifies_is_answered_and_its_lease_kept(site: Site, asked: Subscription) -> None:
    query = {
        "hub.mode": "subscribe",
        "hub.topic": FEED_URL,
        "hub.challenge": "<b>c4</b>",
        "hub.lease_seconds": "864000",
    }
    answer = await site.client.get(path(asked), params=query)
    entry = await site.bus.bucket(WEBSUB).get("1")

    assert (answer.status_code, answer.text) == (200, "<b>c4</b>")
    assert answer.headers["content-type"].startswith("text/plain")
    assert entry
    assert decode_subscription(entry.value).lease_ms - time.time() * 1000 == pytest.approx(864_000_000, abs=10_000)


@pytest.mark.parametrize("change", [{"hub.topic": f"{SITE}/other"}, {"hub.mode": "unsubscribe"}])
async def test_what_we_did_not_ask_for_is_not_confirmed(
    site: Site, asked: Subscription, change: dict[str, str]
) -> None:
    query = {"hub.mode": "subscribe", "hub.topic": FEED_URL, "hub.challenge": "c4"} | change

    assert (await site.client.get(path(asked), params=query)).status_code == 404


async def test_a_push_has_its_feed_polled_at_once(site: Site, asked: Subscription) -> None:
    answer = await site.client.post(path(asked), content=NEWS, headers=signed(asked))

    assert answer.status_code == 202
    assert (await next_due(site.bus)).request_id == ""


async def test_who_is_not_the_hub_or_speaks_of_a_paused_feed_has_nothing_polled(
    site: Site, asked: Subscription
) -> None:
    stranger = msgspec.structs.replace(asked, secret="another")
    elsewhere = msgspec.structs.replace(asked, token="another")
    answers = [
        await site.client.post(path(asked), content=NEWS),
        await site.client.post(path(asked), content=NEWS, headers=signed(stranger)),
        await site.client.post(path(elsewhere), content=NEWS, headers=signed(asked)),
    ]
    await site.client.patch("/api/feeds/1", json={"paused": True})
    answers.append(await site.client.post(path(asked), content=NEWS, headers=signed(asked)))

    assert [answer.status_code for answer in answers] == [202] * 4
    await nothing_due(site)


async def nothing_due(site: Site) -> None:
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(site.bus.mailbox(FETCHER).receive(), 0.2)


async def test_who_does_not_know_the_callback_is_not_listened_to(site: Site, asked: Subscription) -> None:
    guess = path(msgspec.structs.replace(asked, token="guess"))
    reader, writer = await asyncio.open_connection("127.0.0.1", site.running.port)
    writer.write(f"POST {guess} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 8000000\r\n\r\n".encode())
    answer = await asyncio.wait_for(reader.readline(), 5)
    writer.close()

    assert answer.startswith(b"HTTP/1.1 202 ")
