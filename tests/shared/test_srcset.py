"""Image candidates of a `srcset`, after the tables of the WHATWG's tests."""

import pytest

from shared.srcset import parse_srcset


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        (",", []),
        ("a.jpg", [("a.jpg", 0, 1.0)]),
        (" a.jpg ", [("a.jpg", 0, 1.0)]),
        ("a.jpg 1x, b.jpg 2x", [("a.jpg", 0, 1.0), ("b.jpg", 0, 2.0)]),
        ("a.jpg 1.5x", [("a.jpg", 0, 1.5)]),
        ("a.jpg .5x", [("a.jpg", 0, 0.5)]),
        ("a.jpg 1e3x", [("a.jpg", 0, 1000.0)]),
        ("a.jpg 300w,b.jpg 600w", [("a.jpg", 300, 1.0), ("b.jpg", 600, 1.0)]),
        ("a.jpg 300w 200h", [("a.jpg", 300, 1.0)]),
        ("a.jpg, b.jpg", [("a.jpg", 0, 1.0), ("b.jpg", 0, 1.0)]),
        ("a.jpg,b.jpg 2x", [("a.jpg,b.jpg", 0, 2.0)]),
        ("w_1,h_2/a.jpg 300w, w_3,h_4/a.jpg 600w", [("w_1,h_2/a.jpg", 300, 1.0), ("w_3,h_4/a.jpg", 600, 1.0)]),
        (",,a.jpg,,", [("a.jpg", 0, 1.0)]),
        ("a.jpg 3q, b.jpg 2x", [("b.jpg", 0, 2.0)]),
        ("a.jpg -1x, b.jpg", [("b.jpg", 0, 1.0)]),
        ("data:image/png;base64,AAAA 2x", [("data:image/png;base64,AAAA", 0, 2.0)]),
        ("a.jpg (x, y) 2x, b.jpg", [("b.jpg", 0, 1.0)]),
        ("a.jpg\n\t300w ,\n b.jpg 600w", [("a.jpg", 300, 1.0), ("b.jpg", 600, 1.0)]),
    ],
)
def test_the_candidates_of_a_srcset(text: str, expected: list[tuple[str, int, float]]) -> None:
    assert expected == [(found.url, found.width, found.density) for found in parse_srcset(text)]


def test_a_candidate_knows_where_its_url_stands() -> None:
    text = " a.jpg 1x,  b.jpg, c.jpg"
    assert [text[found.start : found.end] for found in parse_srcset(text)] == ["a.jpg", "b.jpg", "c.jpg"]
