"""What an entry is known by."""

import pytest

from services.fetcher.feed import RawEntry
from services.fetcher.identity import id_key, keys_of, link_key


@pytest.mark.parametrize(
    "link",
    [
        "http://example.com/a",
        "https://example.com/a",
        "https://www.example.com/a/",
        "HTTP://EXAMPLE.com/a",
        "http://example.com:80/a",
        "https://example.com:443/a",
        "http://example.com/a?utm_source=rss&utm_medium=feed",
        "http://example.com/a?fbclid=x",
        "http://example.com/a?ref=rss",
        "http://example.com/a?source=rss-abc----2",
        "http://example.com/a?at_medium=RSS&at_campaign=KARANGA",
        "http://example.com/a#xtor=RSS-1",
        "http://example.com/a#comments",
        "http://example.com/a?",
    ],
)
def test_what_does_not_name_an_article_is_left_out(link: str) -> None:
    assert link_key(link) == "example.com/a"


@pytest.mark.parametrize(
    "link",
    [
        "http://example.com/A",
        "http://example.com/a?id=1",
        "http://example.com/a?ref=main",
        "http://example.com/a#v2",
        "http://other.example.com/a",
        "http://example.com:8080/a",
    ],
)
def test_what_names_an_article_stays(link: str) -> None:
    assert link_key(link) != "example.com/a"


def test_an_id_that_is_a_url_is_reduced_like_one() -> None:
    assert id_key("http://example.com/?p=1") == id_key(" https://www.example.com/?p=1")
    assert id_key("tag:example.com,2020:1") == "tag:example.com,2020:1"


def test_a_changed_guid_leaves_the_identity_as_it_was() -> None:
    (before,) = keys_of([RawEntry(link="http://example.com/a", id="1")])
    (after,) = keys_of([RawEntry(link="https://example.com/a?utm_source=rss", id="2")])
    assert before.identity == after.identity


def test_a_changed_link_is_known_by_the_alias() -> None:
    (before,) = keys_of([RawEntry(link="http://example.com/a", id="1")])
    (after,) = keys_of([RawEntry(link="http://example.com/new-slug", id="1")])
    assert before.identity != after.identity
    assert before.aliases == after.aliases


def test_a_shared_link_names_nothing() -> None:
    entries = [RawEntry(link="http://example.com/", id=str(number)) for number in range(3)]
    assert len({keys.identity for keys in keys_of(entries)}) == 3
    assert [keys.aliases for keys in keys_of(entries)] == [(), (), ()]


def test_a_shared_id_names_nothing() -> None:
    entries = [RawEntry(link=f"http://example.com/{number}", id="0") for number in range(3)]
    assert len({keys.identity for keys in keys_of(entries)}) == 3
    assert [keys.aliases for keys in keys_of(entries)] == [(), (), ()]


def test_link_and_id_together_name_what_neither_does() -> None:
    entries = [RawEntry(link=f"http://example.com/{link}", id=id_) for link in "ab" for id_ in "12"]
    assert len({keys.identity for keys in keys_of(entries)}) == 4


def test_the_same_entry_twice_has_one_identity() -> None:
    first, second = keys_of([RawEntry(link="http://example.com/a", id="1")] * 2)
    assert first == second


def test_an_entry_with_a_link_alone_that_others_share_is_known_by_both_title_and_link() -> None:
    entries = [
        RawEntry(link="http://example.com/", id="1"),
        RawEntry(link="http://example.com/", id="2"),
        RawEntry(link="http://example.com/", title="a"),
        RawEntry(link="http://example.com/", title="b"),
    ]
    assert len({keys.identity for keys in keys_of(entries)}) == 4


def test_entries_without_link_and_id_are_known_by_title_and_date() -> None:
    entry = RawEntry(title="a", published="2020-07-27")
    assert keys_of([entry]) == keys_of([entry])
    assert keys_of([entry]) != keys_of([RawEntry(title="a", published="2020-07-28")])
    assert len({keys.identity for keys in keys_of([entry, entry])}) == 2
