"""`halftone fetch` on a site of its own: the record, what its URLs lead to, and what the second time does."""

import io
import urllib.request
from collections.abc import Iterator
from email.message import Message
from typing import Any

import msgspec
import pytest
from PIL import Image, ImageSequence

from tests.api.test_record import RECORD, check_identities, check_keys
from tests.live import newspaper
from tests.live.commands import objects, running, until
from tests.live.conftest import Mirrored

pytestmark = pytest.mark.live


def paths(results: list[dict[str, Any]], mirrored: Mirrored) -> set[str]:
    return {result["source"].removeprefix(mirrored.site.url("")) for result in results}


def test_stdout_is_the_record_alone_with_the_contracts_keys_and_identities(mirrored: Mirrored) -> None:
    assert mirrored.ended.out.count("\n") == 1
    check_keys(RECORD, mirrored.record)
    check_identities(mirrored.record)


def test_the_record_has_every_article_every_image_and_every_failure(mirrored: Mirrored) -> None:
    record = mirrored.record
    assert len(record["toInsertArticleList"]) == newspaper.ARTICLES
    assert [article["title"] for article in record["noPictureArticleList"]] == [f"Article {newspaper.ARTICLES}"]
    assert paths(record["extra12ImgCdnSuccessResultVector"], mirrored) == set(newspaper.images())
    assert paths(record["extra7ImgCdnFailResultVector"], mirrored) == set(newspaper.GONE)
    assert {tuple(it["extra23historyStatusCode"]) for it in record["extra7ImgCdnFailResultVector"]} == {(404,)}


def test_uploads_made_are_the_objects_stored_and_the_same_bytes_are_stored_once(mirrored: Mirrored) -> None:
    stored = objects(mirrored.data)
    assert len(stored) == len(newspaper.images()) - 1  # the twin
    assert len(stored) == len(set(stored))
    assert sum(mirrored.record["successGithubMap"].values()) == len(stored)


def test_a_protected_image_is_mirrored_by_naming_its_article(mirrored: Mirrored) -> None:
    (protected,) = (
        it for it in mirrored.record["extra12ImgCdnSuccessResultVector"] if it["source"].endswith(newspaper.PROTECTED)
    )
    assert protected["extra23historyStatusCode"] == [403, 200]


def test_stderr_says_each_image_once_and_the_totals_and_no_counter_off_a_terminal(mirrored: Mirrored) -> None:
    *lines, totals = mirrored.ended.err.splitlines()
    total = len(newspaper.images()) + len(newspaper.GONE)
    assert totals == f"{newspaper.ARTICLES + 1} articles, {total} images: {total - 3} mirrored, 3 failed"
    assert len(lines) == total
    assert all(mirrored.site.url("/") in line and "\r" not in line for line in lines)
    assert sum(line.endswith("answered HTTP 404") for line in lines) == len(newspaper.GONE)


def test_every_cdn_url_answers_from_up_with_the_webp_of_its_source(mirrored: Mirrored) -> None:
    with running("up", "--port", str(mirrored.public_port), data=mirrored.data) as up:
        until(lambda: up.process.stderr and "Halftone is up" in up.process.stderr.readline())
        for result in mirrored.record["extra12ImgCdnSuccessResultVector"]:
            headers, body = get(result["fixedGithubDest"])
            assert headers["Content-Type"] == "image/webp"
            assert "immutable" in headers["Cache-Control"]
            assert headers["X-Content-Type-Options"] == "nosniff"
            source = newspaper.images()[result["source"].removeprefix(mirrored.site.url(""))]
            assert shape(body) == shape(source), result["source"]
            assert (result["destWidth"], result["destHeight"]) == shape(body)[0]


def test_the_second_fetch_asks_for_the_feed_alone_and_finds_nothing_new(mirrored: Mirrored) -> None:
    asked = len(mirrored.site.requests)
    ended = mirrored.fetch()
    record = msgspec.json.decode(ended.out)
    assert ended.code == 0
    assert (record["isDone"], record["toInsertArticleList"], record["noPictureArticleList"]) == (True, [], [])
    assert mirrored.site.paths()[asked:] == [newspaper.FEED]
    assert mirrored.site.requests[-1].headers["if-none-match"] == '"first"'
    check_keys(RECORD, record)
    check_identities(record)


def get(url: str) -> tuple[Message, bytes]:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own api
        return answer.headers, answer.read()


def shape(data: bytes) -> tuple[tuple[int, int], int, int]:
    """Return the size, the number of frames and their duration together in ms."""
    with Image.open(io.BytesIO(data)) as image:
        durations = list(_durations(image))
        return image.size, len(durations), sum(durations)


def _durations(image: Image.Image) -> Iterator[int]:
    for frame in ImageSequence.Iterator(image):
        frame.load()
        yield frame.info.get("duration", 0)
