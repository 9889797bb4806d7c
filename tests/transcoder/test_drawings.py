"""SVG drawings: their size, their pixels, and what is refused."""

from io import BytesIO

import pytest
from PIL import Image

from services.transcoder import Unrenderable, transcode
from services.transcoder.drawings import size
from services.transcoder.sniff import Format, sniff
from services.transcoder.transcode import TEXTLESS

SVG = '<svg xmlns="http://www.w3.org/2000/svg" {}><rect width="100%" height="100%" fill="#f00"/></svg>'


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ('width="117" height="20"', (117, 20)),
        ('width="1in" height="2.54cm"', (96, 96)),
        ('viewBox="0 0 30 40"', (30, 40)),
        ('width="60" viewBox="0 0 30 40"', (60, 80)),
        ('height="80" viewBox="0 0 30 40"', (60, 80)),
        ('width="100%" viewBox="0,0,30,40"', (30, 40)),
        ("", (100, 100)),
    ],
)
def test_a_drawing_is_as_large_as_it_says(attributes: str, expected: tuple[int, int]) -> None:
    assert size(SVG.format(attributes)) == pytest.approx(expected)


def test_a_drawing_becomes_a_webp_of_its_size_and_colours() -> None:
    rendition = transcode(SVG.format('width="20" height="10"').encode())
    image = Image.open(BytesIO(rendition.data)).convert("RGB")
    assert (rendition.content_type, image.size, image.getpixel((5, 5))) == ("image/webp", (20, 10), (255, 0, 0))


def test_a_drawing_whose_text_is_left_out_says_so() -> None:
    plain = transcode(SVG.format('width="40" height="20"').encode())
    worded = transcode(SVG.format('width="40" height="20"').replace("</svg>", "<text y='15'>ab</text></svg>").encode())
    assert worded.data == plain.data
    assert (worded.notes, plain.notes) == ((*plain.notes, TEXTLESS), plain.notes)


@pytest.mark.parametrize(
    "prologue",
    [
        "",
        "\ufeff",
        '<?xml version="1.0"?>\n',
        "<!-- c -->",
        '<!DOCTYPE svg PUBLIC "a" "b">',
        "<!DOCTYPE svg [<!ENTITY a 'b'>]>",
    ],
)
def test_a_drawing_is_known_behind_any_prologue(prologue: str) -> None:
    assert sniff((prologue + SVG.format("")).encode()) is Format.SVG


def test_a_page_with_a_drawing_in_it_is_no_drawing() -> None:
    with pytest.raises(Unrenderable, match="web page"):
        sniff(b"<!DOCTYPE html><html><body><svg></svg></body></html>")


def test_a_drawing_of_too_many_pixels_is_refused() -> None:
    with pytest.raises(Unrenderable, match="100000 x 100000 pixels"):
        transcode(SVG.format('width="100000" height="100000"').encode())


def test_a_drawing_that_breaks_off_is_refused() -> None:
    with pytest.raises(Unrenderable, match="cannot be drawn"):
        transcode(b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><rect')
