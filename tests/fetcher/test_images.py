"""The picture that an `<img>` means."""

import pytest

from services.fetcher.images import Offer, choose, offers, same_picture, youtube_thumbnails

BASE = "http://example.com/post/"


def chosen(**attributes: str) -> tuple[str, ...] | None:
    """The URLs of an element, best first, less the host."""
    names = {name.replace("_", "-"): value for name, value in attributes.items()}
    best = choose(offers(names, BASE))
    return tuple(url.removeprefix(BASE) for url in (best[0], *best[1])) if best else None


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({"src": "a.jpg"}, ("a.jpg",)),
        ({"src": " a.jpg "}, ("a.jpg",)),
        ({"src": ""}, None),
        ({"src": "   "}, None),
        ({}, None),
        ({"src": "data:image/gif;base64,AA"}, None),
        ({"src": "javascript:x"}, None),
        ({"srcset": "a.jpg 1x, b.jpg 2x"}, ("b.jpg", "a.jpg")),
        ({"src": "s.jpg", "srcset": "a.jpg 300w, b.jpg 900w"}, ("b.jpg", "a.jpg", "s.jpg")),
        ({"src": "b.jpg", "srcset": "a.jpg 300w, b.jpg 900w"}, ("b.jpg", "a.jpg")),
        ({"src": "s.jpg", "srcset": "data:image/gif;base64,AA 9w"}, ("s.jpg",)),
        ({"src": "s.jpg", "data_src": "l.jpg"}, ("l.jpg", "s.jpg")),
        ({"src": "blank.gif", "data_src": "l.jpg"}, ("l.jpg",)),
        ({"src": "/x/loading.svg", "data_original": "l.jpg"}, ("l.jpg",)),
        ({"src": "data:image/gif;base64,AA", "data_srcset": "a.jpg 1x"}, ("a.jpg",)),
        ({"src": "s.jpg", "data_src": "blank.gif"}, ("s.jpg",)),
        ({"src": "s.jpg", "data_src": "true"}, ("s.jpg",)),
        ({"src": "s.jpg", "data_src": '{"a": 1}'}, ("s.jpg",)),
        ({"src": "s.jpg", "data_src": "my cat.jpg"}, ("my%20cat.jpg", "s.jpg")),
        (
            {"src": "s-300x200.jpg", "data_orig_file": "s.jpg", "srcset": "m.jpg 900w"},
            ("s.jpg", "m.jpg", "s-300x200.jpg"),
        ),
        ({"data_src": "a.jpg", "data_original": "b.jpg"}, ("a.jpg", "b.jpg")),
    ],
)
def test_the_largest_url_is_taken_and_the_others_are_fallbacks(
    attributes: dict[str, str], expected: tuple[str, ...] | None
) -> None:
    assert expected == chosen(**attributes)


def test_of_equal_widths_the_lower_rank_goes_first() -> None:
    found = choose([Offer("b", 900, 3), Offer("a", 900, 0), Offer("c", 1200, 9)])
    assert found == ("c", ("a", "b"))


def test_fallbacks_are_bounded() -> None:
    found = choose([Offer(str(number), number, 0) for number in range(50)])
    assert found is not None
    assert len(found[1]) == 6


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/a.jpg",
        "https://www.example.com/a.jpg?w=300",
        "http://example.com/a-300x200.jpg",
        "http://example.com/a-scaled.jpg",
        "http://example.com/a@2x.jpg",
    ],
)
def test_sizes_of_one_picture_are_one_picture(url: str) -> None:
    assert same_picture(url) == "example.com/a.jpg"


@pytest.mark.parametrize(
    ("url", "largest"),
    [
        ("https://i.ytimg.com/vi/abcdefghijk/hqdefault.jpg", "https://i.ytimg.com/vi/abcdefghijk/maxresdefault.jpg"),
        ("http://img.youtube.com/vi/abcdefghijk/0.jpg", "https://i.ytimg.com/vi/abcdefghijk/maxresdefault.jpg"),
        ("https://example.com/vi/abcdefghijk/0.jpg", None),
    ],
)
def test_youtube_has_larger_thumbnails(url: str, largest: str | None) -> None:
    assert largest == next(iter(youtube_thumbnails(url)), None)
