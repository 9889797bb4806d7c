"""Bytes to text, and HTML to plain text: encodings as they are, not as they are declared."""

import codecs
import html
import re

_EBCDIC = "cp037"
_BOMS = (
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (b"\x00\x00\x00<", "utf-32-be"),
    (b"<\x00\x00\x00", "utf-32-le"),
    (b"\x00<\x00", "utf-16-be"),
    (b"<\x00", "utf-16-le"),
    (b"\x4c\x6f\xa7\x94", _EBCDIC),
)
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
_XML_ENCODING = re.compile(rb"\s*<\?xml[^>]{0,200}?\bencoding\s*=\s*[\"']([\w.:-]+)[\"']", re.IGNORECASE)
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:-]+)", re.IGNORECASE)
# What browsers read for a label (WHATWG Encoding), where Python's codec of that name knows fewer characters.
_WIDER = {
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "iso8859-1": "cp1252",
    "ascii": "cp1252",
    "shift_jis": "cp932",
    "euc_kr": "cp949",
    "big5": "big5hkscs",
    "iso8859-9": "cp1254",
    "tis-620": "cp874",
}
_NOT_FOR_TEXT = frozenset({"idna", "punycode", "unicode_escape", "raw_unicode_escape", "undefined", "mbcs", "oem"})
_WRONG_PER_RIGHT = 0.25  # of the characters beyond ASCII: a UTF-8 text with few slips is still UTF-8
_MARKUP = re.compile(
    r"""<(script|style)\b.{0,20000}?</\1\s*> | <!--(?:.{0,20000}?--!?>|[^>]{0,20000}>)? | <!\[CDATA\[ | \]\]>
    | <[!?][^>]{0,2000}> | </?[a-zA-Z](?:[^>"']|"[^"]{0,5000}"|'[^']{0,5000}')*+> | </?[a-zA-Z][^>]{0,5000}>""",
    re.DOTALL | re.IGNORECASE | re.VERBOSE,
)


def decode(body: bytes, content_type: str | None) -> str:
    """Return the text of a document, whatever its encoding is declared as.

    A byte order mark is believed first. Bytes that are valid UTF-8 are UTF-8. Then the HTTP charset, the XML
    declaration and a `<meta charset>` are tried; then UTF-8 with few slips; at last windows-1252.
    """
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            text = body.decode(encoding, "replace").lstrip("\ufeff")
            return text if encoding != _EBCDIC else _other_ebcdic(body, text)
    try:
        return _declared_ascii(body, content_type) or body.decode()
    except UnicodeDecodeError:
        pass
    for label in _labels(body, content_type):
        if (text := _decode_as(body, label)) is not None:
            return text
    text = body.decode("utf-8", "replace")
    slips = text.count("\ufffd")
    beyond = sum(len(run) for run in re.findall(r"[^\x00-\x7f]+", text))
    return text if slips < beyond * _WRONG_PER_RIGHT else body.decode("cp1252", "replace")


def _other_ebcdic(body: bytes, text: str) -> str:
    """Return the text in the EBCDIC variant that its declaration names, which all variants can read."""
    declared = _XML_ENCODING.match(text[:256].encode("ascii", "replace"))
    name = declared and _codec(declared.group(1).decode())
    return (_decode_as(body, name) if name else None) or text


def _declared_ascii(body: bytes, content_type: str | None) -> str | None:
    """Return the text where every byte is ASCII and the label says an encoding that escapes (ISO 2022, UTF-7)."""
    if not body.isascii():
        return None
    escaping = (label for label in _labels(body, content_type) if label.startswith(("iso2022", "utf-7", "hz")))
    return next((text for label in escaping if (text := _decode_as(body, label)) is not None), None)


def _labels(body: bytes, content_type: str | None) -> list[str]:
    head = body[:2048]
    declared = [match.group(1) for match in (_CHARSET.search(content_type or ""),) if match]
    declared += [match.group(1).decode() for match in (_XML_ENCODING.match(head), _META_CHARSET.search(head)) if match]
    return [name for label in declared if (name := _codec(label))]


def _codec(label: str) -> str | None:
    try:
        name = codecs.lookup(label).name
    except LookupError:
        return None
    name = name.replace("_", "-") if name.startswith("iso8859") else name
    return None if name in _NOT_FOR_TEXT else _WIDER.get(name, name)


def _decode_as(body: bytes, label: str) -> str | None:
    try:
        return body.decode(label)
    except (UnicodeDecodeError, LookupError):  # LookupError: a codec that is not for text
        return None


def plain(markup: str) -> str:
    """Return the text of a piece of HTML, its white space collapsed."""
    if "<" in markup:
        markup = _MARKUP.sub("", markup)
    return " ".join((html.unescape(markup) if "&" in markup else markup).split())
