"""Tags as the HTML standard takes them."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.tags import escape, walk


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("<p>a</p>", [("p", False), ("p", True)]),
        ("<IMG SRC=x>", [("img", False)]),
        ("a < b <c", []),
        ("<!-- <b> --><i>", [("i", False)]),
        ("<!--><i>", [("i", False)]),
        ("<!-- <b>", []),
        ("<!doctype html><?php <b ?><i>", [("i", False)]),
        ("<script>'<b>'</script><i>", [("script", False), ("script", True), ("i", False)]),
        ("<style><b></style >", [("style", False), ("style", True)]),
        ("<iframe><b>", [("iframe", False), ("b", False)]),
        ('<a title="<b>">', [("a", False)]),
        ("<a title='", []),
        ("<br/>", [("br", False)]),
    ],
)
def test_what_is_a_tag(text: str, expected: list[tuple[str, bool]]) -> None:
    assert expected == [(tag.name, tag.closing) for tag in walk(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('<a b="c">', {"b": "c"}),
        ("<a b='c'>", {"b": "c"}),
        ("<a b=c>", {"b": "c"}),
        ("<a b>", {"b": ""}),
        ("<a b = c>", {"b": "c"}),
        ('<a b="c"d="e">', {"b": "c", "d": "e"}),
        ("<a b=c/d>", {"b": "c/d"}),
        ("<a/b=c/>", {"b": "c/"}),
        ('<a B="1" b="2">', {"b": "1"}),
        ('<a b="x&amp;y &eacute;">', {"b": "x&y é"}),
        ('<a b="1\n2">', {"b": "1\n2"}),
        ("<a b=>", {"b": ""}),
    ],
)
def test_what_is_an_attribute(text: str, expected: dict[str, str]) -> None:
    (tag,) = walk(text)
    assert expected == {name: attribute.value for name, attribute in tag.attributes().items()}


def test_an_attribute_knows_where_its_value_stands() -> None:
    text = "<img alt='x' src = \"a.png\">"
    (tag,) = walk(text)
    source = tag.attributes()["src"]
    assert text[source.start : source.end] == "a.png"


@given(st.text(alphabet="<>/=!-\"' abp&;", max_size=60))
def test_any_text_can_be_walked(text: str) -> None:
    for tag in walk(text):
        assert text[tag.start] == "<"
        assert text[tag.end - 1] == ">"
        for attribute in tag.attributes().values():
            assert tag.start < attribute.start <= attribute.end < tag.end


@pytest.mark.parametrize(
    "piece", ["<a ", '<a b=">" ', "<a b='c d=\"", "<!--", "<script>", "<iframe>", "<a b ", "</", "<a\"'", "<a =\"'"]
)
def test_hostile_markup_is_walked_in_linear_time(piece: str) -> None:
    text = piece * 100_000
    started = time.process_time()
    for tag in walk(text):
        tag.attributes()
    assert time.process_time() - started < 3


@pytest.mark.parametrize(
    ("quote", "expected"),
    [('"', "a&amp;b&quot;'&lt;"), ("'", 'a&amp;b"&#39;&lt;'), ("=", '"a&amp;b&quot;\'&lt;"')],
)
def test_a_value_is_escaped_for_its_quotes(quote: str, expected: str) -> None:
    assert expected == escape("a&b\"'<", quote)
