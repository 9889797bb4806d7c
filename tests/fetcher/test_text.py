"""Encodings as they are, markup as text, dates as numbers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.fetcher.dates import read_date
from services.fetcher.repair import repair
from services.fetcher.text import decode, plain


@given(st.binary(max_size=100), st.none() | st.text(max_size=40))
def test_any_bytes_are_text(body: bytes, content_type: str | None) -> None:
    decode(body, content_type)


@given(st.text(max_size=100).filter(lambda text: "\x00" not in text and not text.startswith("\ufeff")))
def test_utf_8_is_read_whatever_the_header_says(text: str) -> None:
    assert text == decode(text.encode(), "text/xml; charset=iso-8859-1")


@pytest.mark.parametrize("label", ["hex", "rot13", "zlib", "idna", "punycode", "unicode_escape", "x-nothing", "base64"])
def test_what_is_no_encoding_of_text_is_no_encoding(label: str) -> None:
    assert decode(b"caf\xe9", f"text/xml; charset={label}") == "caf\xe9"


@pytest.mark.parametrize(
    ("markup", "expected"),
    [
        ("a <b>b</b> c", "a b c"),
        ("a &amp; b", "a & b"),
        ("a\n\t b", "a b"),
        ("a<br>b", "ab"),
        ("a<script>x</script>b", "ab"),
        ("a<!-- x -->b", "ab"),
        ("a<!-- x", "a x"),
        ("1 < 2", "1 < 2"),
        ('<a title="1 > 2">x</a>', "x"),
        ("<![CDATA[x]]>", "x"),
        ("<a <b>x", "x"),
    ],
)
def test_markup_has_a_text(markup: str, expected: str) -> None:
    assert expected == plain(markup)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x00b", "ab"),
        ("a&#x1F;b&#8;", "ab"),
        ("&#10;&#x41;", "&#10;&#x41;"),
        ("&nbsp;&amp;&lt;&eacute;", "\xa0&amp;&lt;\xe9"),
        ("&unknown;", "&unknown;"),
        ("&lang;", "\u2329"),
        ("&check;", "\u2713"),
        ('<!DOCTYPE x [<!ENTITY eacute "E">]>&eacute;&nbsp;', '<!DOCTYPE x [<!ENTITY eacute "E">]>&eacute;\xa0'),
        ("a & b", "a & b"),
    ],
)
def test_what_xml_forbids_is_mended(text: str, expected: str) -> None:
    assert expected == repair(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon, 27 Jul 2020 00:00:00 GMT", 1_595_808_000_000),
        ("Mon, 27 Jul 2020 00:00:00 +0000", 1_595_808_000_000),
        ("Mon, 27 Jul 2020 02:00:00 +0200", 1_595_808_000_000),
        ("27 Jul 2020 00:00:00 Z", 1_595_808_000_000),
        ("Sun, 26 Jul 2020 19:00:00 EST", 1_595_808_000_000),
        ("2020-07-27T00:00:00Z", 1_595_808_000_000),
        ("2020-07-27T02:00:00.123+02:00", 1_595_808_000_000),
        ("2020-07-27 00:00:00", 1_595_808_000_000),
        ("2020-07-27", 1_595_808_000_000),
        ("Monday, July 27, 2020", None),
        ("1901-07-27T00:00:00Z", None),
        ("2999-07-27T00:00:00Z", None),
        ("", None),
        ("x" * 1000, None),
    ],
)
def test_a_date_is_epoch_milliseconds(text: str, expected: int | None) -> None:
    assert expected == read_date(text)
