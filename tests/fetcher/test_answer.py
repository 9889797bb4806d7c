"""What headers say about when and how to ask again."""

import pytest

from services.fetcher.answer import read_answer
from services.fetcher.state import Validators

NOW = 1_595_808_000_000  # Mon, 27 Jul 2020 00:00:00 GMT


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0.0),
        ({"cache-control": "max-age=600"}, 600.0),
        ({"cache-control": "public, max-age=600"}, 600.0),
        ({"cache-control": 'max-age="600"'}, 600.0),
        ({"cache-control": "s-maxage=900"}, 0.0),
        ({"cache-control": "max-age=600", "age": "100"}, 500.0),
        ({"cache-control": "max-age=600", "age": "900"}, 0.0),
        ({"cache-control": "no-cache, max-age=600"}, 0.0),
        ({"cache-control": "no-store"}, 0.0),
        ({"cache-control": "max-age=x"}, 0.0),
        ({"expires": "Mon, 27 Jul 2020 01:00:00 GMT"}, 3600.0),
        ({"expires": "Mon, 27 Jul 2020 01:00:00 GMT", "date": "Mon, 27 Jul 2020 00:30:00 GMT"}, 1800.0),
        ({"expires": "Mon, 27 Jul 2020 01:00:00 GMT", "cache-control": "max-age=60"}, 60.0),
        ({"expires": "0"}, 0.0),
        ({"expires": "-1"}, 0.0),
        ({"expires": "Sun, 26 Jul 2020 00:00:00 GMT"}, 0.0),
        ({"expires": "Mon, 99 Jul 2020 00:00:00 GMT"}, 0.0),
    ],
)
def test_for_how_long_an_answer_is_fresh(headers: dict[str, str], seconds: float) -> None:
    assert seconds == read_answer(200, headers, now_ms=NOW).fresh_for


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 120 ", 120.0),
        ("Mon, 27 Jul 2020 00:02:00 GMT", 120.0),
        ("Sun, 26 Jul 2020 00:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
        ("1.5", None),
    ],
)
def test_a_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    assert seconds == read_answer(429, {"retry-after": value}, now_ms=NOW).retry_after


def test_validators_are_kept() -> None:
    headers = {"etag": '"abc"', "last-modified": "Mon, 27 Jul 2020 00:00:00 GMT"}
    expected = Validators('"abc"', "Mon, 27 Jul 2020 00:00:00 GMT")
    assert expected == read_answer(200, headers, now_ms=NOW).validators


def test_validators_of_an_answer_that_expires_at_0_are_not_meant() -> None:
    assert Validators() == read_answer(200, {"etag": '"abc"', "expires": "0"}, now_ms=NOW).validators
