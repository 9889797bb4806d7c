"""Bodies to show; most of what they are made of is under `cases/images`."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.fetcher.bodies import read_body
from shared.html import rewrite_images, sanitise

BASE = "http://example.com/post/"
PIECES = (
    '<img src="a.png">',
    '<img data-src="b.png" src="blank.gif">',
    '<img srcset="c.png 1x, d.png 2x">',
    '<img class=lazy src="data:image/gif;base64,R0lGOD">',
    '<noscript><img src="b.png"></noscript>',
    "<noscript>",
    "</noscript>",
    '<picture><source srcset="e.png 300w"><img src="f.png"></picture>',
    "<picture>",
    "</picture>",
    '<video poster="g.png">',
    '<div style="background:url(h.png)">',
    '<iframe src="https://www.youtube.com/embed/x">',
    '<iframe src="https://evil.example/">',
    "</iframe>",
    '<a href="x">',
    "</a>",
    "<script>",
    "</script>",
    "<!--",
    "-->",
    "<p title='",
    "text & more ",
)


@given(st.lists(st.sampled_from(PIECES), max_size=12).map("".join))
@settings(max_examples=500, deadline=None)
def test_every_image_that_is_shown_is_known_and_can_be_rewritten(html: str) -> None:
    body = read_body(html, BASE)
    mirrored = rewrite_images(body.html, {image.source: "https://cdn.example/x.webp" for image in body.images})
    assert "example.com/post/" not in mirrored.replace('href="http://example.com/post/', "")
    assert sanitise(body.html) == body.html


def test_a_body_is_shown_as_it_is_written() -> None:
    html = (
        '<h2>Title</h2>\n<p>Text with <em>weight</em>, a <a href="http://a.example/">link</a>.</p><ul><li>x</li></ul>'
    )
    assert html == read_body(html, BASE).html.replace(' rel="noopener noreferrer nofollow"', "")


def test_formulas_keep_their_text() -> None:
    html = "<math><mrow><mi>a</mi><mo>+</mo><mi>b</mi></mrow></math>"
    assert read_body(html, BASE).html == "a+b"


def test_a_frame_left_open_hides_nothing() -> None:
    body = read_body('<iframe src="https://evil.example/"><p>x</p><img src="a.png">', BASE)
    assert body.html == '<p>x</p><img src="http://example.com/post/a.png">'


@pytest.mark.parametrize(
    "piece", ["<img src=a.png>", "<noscript><img src=a.png></noscript>", "<div>", "<picture>", "<a href="]
)
def test_a_long_body_is_read_in_linear_time(piece: str) -> None:
    started = time.process_time()
    read_body(piece * 20_000, BASE)
    assert time.process_time() - started < 10
