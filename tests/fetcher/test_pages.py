"""What a page's head says."""

import pytest

from services.fetcher.pages import find_icon, find_page_images, read_page

URL = "http://example.com/blog/post"


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ('<meta property="og:image" content="/a.jpg">', ("http://example.com/a.jpg",)),
        ('<meta name="twitter:image" content="http://img.example/t.jpg">', ("http://img.example/t.jpg",)),
        (
            '<meta name="twitter:image" content="/t.jpg"><meta property="og:image" content="/a.jpg">',
            ("http://example.com/a.jpg", "http://example.com/t.jpg"),
        ),
        ('<meta content="/a.jpg" property="OG:IMAGE">', ("http://example.com/a.jpg",)),
        ('<meta name="og:image" content="/a.jpg?x=1&amp;y=2">', ("http://example.com/a.jpg?x=1&y=2",)),
        ('<meta property="og:image" content="">', ()),
        ('<meta property="og:image" content="data:image/png;base64,A">', ()),
        ('<!-- <meta property="og:image" content="/a.jpg"> -->', ()),
        ("", ()),
    ],
)
def test_the_image_that_a_page_is_shared_with(head: str, expected: tuple[str, ...]) -> None:
    assert expected == find_page_images(f"<html><head>{head}</head>".encode(), URL)


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        ("", "http://example.com/favicon.ico"),
        ('<link rel="icon" href="i.png">', "http://example.com/blog/i.png"),
        ('<link rel="shortcut icon" href="/i.ico">', "http://example.com/i.ico"),
        (
            '<link rel="icon" sizes="16x16" href="/16.png"><link rel="icon" sizes="192x192" href="/192.png">',
            "http://example.com/192.png",
        ),
        (
            '<link rel="icon" href="/16.ico"><link rel="apple-touch-icon" href="/touch.png">',
            "http://example.com/touch.png",
        ),
        (
            '<link rel="icon" type="image/svg+xml" href="/i.svg"><link rel="icon" href="/i.ico">',
            "http://example.com/i.ico",
        ),
        ('<link rel="icon" href="data:,">', "http://example.com/favicon.ico"),
        ('<base href="http://cdn.example/x/"><link rel="icon" href="i.png">', "http://cdn.example/x/i.png"),
        ('<link rel="stylesheet" href="/x.css">', "http://example.com/favicon.ico"),
    ],
)
def test_the_icon_of_a_site(head: str, expected: str) -> None:
    assert expected == find_icon(f"<html><head>{head}</head>".encode(), URL)


def test_a_page_has_a_title() -> None:
    assert read_page("<title>\nA &amp; B </title>", URL).title == "A & B"


def test_a_page_of_any_bytes_has_an_icon() -> None:
    assert find_icon(bytes(range(256)) * 50, URL) == "http://example.com/favicon.ico"
