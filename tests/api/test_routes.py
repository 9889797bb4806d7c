"""The api over HTTP: records, articles, images, problems."""

import asyncio
import socket
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from services.api.app import start
from services.api.settings import ApiSettings
from services.standalone.broker import free_port
from shared.memory import MemoryBus
from shared.messages import ImageJob, decode
from shared.topology import TRANSCODER
from tests.api.builders import SITE, mirrored, polled
from tests.api.running import Site, eventually
from tests.api.stories import FEED_URL, ONE, THREE, TWO, told


async def test_records_of_a_feed_are_listed(site: Site) -> None:
    feed, request_id = await told(site)
    (line,) = (await site.client.get(f"/api/feeds/{feed}/records")).json()["records"]

    assert (line["request_id"], line["ok"], line["articles"], line["mirrored"], line["failed"]) == (
        request_id,
        True,
        3,
        3,
        1,
    )


async def test_a_failed_poll_is_listed_with_its_reason(site: Site) -> None:
    request_id = (await site.client.post("/api/fetches", json={"url": FEED_URL})).json()["requestId"]
    await site.say(polled(request_id, asked=True, ok=False, error="no such host: <site>"))
    await site.record(request_id)
    (line,) = (await site.client.get("/api/feeds/1/records")).json()["records"]

    assert (line["ok"], line["error"]) == (False, "no such host: <site>")
    for path in ("/", "/feed/1"):
        history = (await site.client.get(path)).text.partition('<ul class="rows"')[2]
        assert "the poll failed: no such host: &lt;site&gt;" in history


async def test_articles_are_found_by_their_words(site: Site) -> None:
    await told(site)

    async def titles(query: str) -> list[str]:
        answer = await site.client.get("/api/articles", params={"q": query})
        assert answer.status_code == 200, answer.text
        return [each["title"] for each in answer.json()["articles"]]

    assert await titles("nothing überraschung") == [THREE.title]
    assert await titles("Ann") == [TWO.title]
    assert await titles("absent") == []
    assert await titles('" OR * NEAR( --') == []


async def test_articles_are_listed_newest_first_in_pages(site: Site) -> None:
    await told(site)
    first = (await site.client.get("/api/articles", params={"limit": 2})).json()
    second = (await site.client.get("/api/articles", params={"limit": 3, "after": first["next"]})).json()

    listed = first["articles"] + second["articles"]
    ages = [(each["published_ms"], each["id"]) for each in listed]
    assert {each["link_md5"] for each in listed} == {it.link_md5 for it in (ONE, TWO, THREE)}
    assert ages == sorted(ages, reverse=True)
    assert listed[-1]["published_ms"] == TWO.published_ms
    assert second["next"] is None


async def test_an_article_is_read_with_its_images_from_the_cdn(site: Site) -> None:
    await told(site)
    read = (await site.client.get(f"/api/articles/{ONE.link_md5}")).json()

    assert f'src="{SITE}/a.gif"' in read["body"]
    assert f'src="{mirrored("a.gif").url}"' in read["mirrored_body"]
    assert f'src="{SITE}/dead.png"' in read["mirrored_body"]
    assert list(read["images"]) == [f"{SITE}/a.gif", f"{SITE}/b.png"]


async def test_an_image_is_found_by_its_source(site: Site) -> None:
    await told(site)
    good = (await site.client.get("/api/images", params={"source": f"{SITE}/a.gif"})).json()
    bad = (await site.client.get("/api/images", params={"source": f"{SITE}/dead.png"})).json()

    assert (good["state"], good["url"]) == ("mirrored", mirrored("a.gif").url)
    assert (bad["state"], bad["result"]["reason"]) == ("failed", "every attempt was answered with an error")


async def next_job(site: Site) -> ImageJob:
    mailbox = site.bus.mailbox(TRANSCODER)
    delivery = await asyncio.wait_for(mailbox.receive(), 5)
    await mailbox.close()
    assert delivery
    await delivery.ack()
    message = decode(delivery.data)
    assert isinstance(message, ImageJob)
    return message


@pytest.mark.parametrize("scope", ["requestId", "feed", "host", "image"])
async def test_failed_images_are_retried_and_an_updated_record_follows(site: Site, scope: str) -> None:
    feed, request_id = await told(site)
    values: dict[str, Any] = {"requestId": request_id, "feed": feed, "host": "site.example"}
    job_image = (await site.client.get("/api/images", params={"source": f"{SITE}/dead.png"})).json()["image"]
    answer = await site.client.post("/api/images/retry", json={scope: (values | {"image": job_image})[scope]})
    assert answer.status_code == 202, answer.text
    job = await next_job(site)
    await site.say(mirrored("dead.png", size=5, job=77))
    record = await eventually(lambda: site.record(request_id), lambda record: record["extra6"] == 4)

    assert (answer.status_code, answer.json()) == (202, {"images": 1, "more": False})
    assert (job.source, job.referer, job.feed, job.again) == (f"{SITE}/dead.png", ONE.link, feed, True)
    assert record["extra7ImgCdnFailResultVector"] == []


async def test_a_retry_of_everything_is_refused(site: Site) -> None:
    answer = await site.client.post("/api/images/retry", json={})

    assert (answer.status_code, "requestId, feed, host or image" in answer.json()["detail"]) == (400, True)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "hint"),
    [
        ("POST", "/api/fetches", b'{"url": "nonsense"}', 400, "give the feed's whole address"),
        ("POST", "/api/fetches", b'{"url": 1}', 400, "openapi.json"),
        ("POST", "/api/fetches", b"{", 400, ""),
        ("POST", "/api/fetches", b"[" * 30_000, 400, "nested"),
        ("POST", "/api/feeds", b'{"url": ' + b'{"a":' * 9_000 + b"1" + b"}" * 9_001, 400, "nested"),
        ("POST", "/api/fetches", b'{"url": "\xff"}', 400, "UTF-8"),
        ("POST", "/api/fetches", b'{"url": "http://a.example/", "wait": 1e9}', 400, "openapi.json"),
        ("GET", "/api/records/none", b"", 404, "POST /api/fetches"),
        ("GET", "/api/feeds/99", b"", 404, "GET /api/feeds"),
        ("GET", "/api/feeds/99999999999999999999", b"", 400, "openapi.json"),
        ("GET", "/api/articles/none", b"", 404, "MD5"),
        ("GET", "/api/images?source=nope", b"", 400, "whole address"),
        ("GET", "/api/articles?limit=0", b"", 400, "openapi.json"),
        ("GET", "/nowhere", b"", 404, ""),
        ("PATCH", "/api/feeds/1", b'{"headers": {"Host": "x"}}', 400, "no header"),
        ("PATCH", "/api/feeds/1", b'{"headers": {"X-Key": "a\\tb"}}', 400, "no header"),
        ("PATCH", "/api/feeds/1", b'{"headers": {"X-Key": "a\\r\\nHost: b"}}', 400, "no header"),
        ("PATCH", "/api/feeds/1", b'{"user_agent": "a\\r\\nHost: b"}', 400, "'user_agent' has a character"),
        ("PATCH", "/api/feeds/1", b'{"user_agent": "a\\u007fb"}', 400, "'user_agent' has a character"),
        ("PATCH", "/api/feeds/1", b'{"name": "a\\u0001b"}', 400, "'name' has a control character"),
        ("POST", "/api/feeds", b'{"url": "http://a.example/", "folder": "a\\nb"}', 400, "'folder' has a control"),
        ("POST", "/api/feeds", b'{"url": "' + b"h" * 80_000 + b'"}', 413, ""),
    ],
)
async def test_bad_input_is_answered_by_a_problem_that_says_what_to_do(  # noqa: PLR0917 - one for each column
    site: Site, method: str, path: str, body: bytes, status: int, hint: str
) -> None:
    answer = await site.client.request(method, path, content=body, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert hint in answer.json()["detail"]
    assert "Traceback" not in answer.text


async def test_many_who_connect_and_ask_nothing_keep_nobody_out(site: Site) -> None:
    with ExitStack() as idle:
        for _ in range(400):
            idle.enter_context(socket.create_connection(("127.0.0.1", site.running.port), 5))
        answer = await site.client.get("/api/feeds", timeout=5)

    assert answer.status_code == 200


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
async def test_the_api_is_reachable_as_soon_as_it_has_started(memory_bus: MemoryBus, tmp_path: Path, host: str) -> None:
    running = await start(memory_bus, ApiSettings(data=tmp_path, http_host=host, http_port=free_port()))

    with socket.create_connection((host, running.port), 5):  # before the loop runs again
        pass

    await running.drain()
    await running.abort()
