"""The fast reader reads what feedparser reads, or leaves it to feedparser."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.fetcher import xml_feeds
from services.fetcher.sniff import sniff
from services.fetcher.text import decode
from services.fetcher.tree import read_tree
from shared.errors import Reject

CASES = Path(__file__).parent / "cases"
URL = "http://example.com/blog/feed"
NAMESPACES = (
    'xmlns:content="http://purl.org/rss/1.0/modules/content/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:media="http://search.yahoo.com/mrss/" xmlns:itunes="http://www.itunes.com/dtds/podcast-1.0.dtd"'
    ' xmlns:a="http://www.w3.org/2005/Atom" xmlns:sy="http://purl.org/rss/1.0/modules/syndication/"'
    ' xmlns:foo="http://example.com/foo" xmlns:dcterms="http://purl.org/dc/terms/"'
)
TEXTS = (
    "",
    "x",
    "A &amp;amp; B",
    "&lt;b&gt;bold&lt;/b&gt;",
    "<![CDATA[<p>x</p> <script>y</script>]]>",
    "1 &lt; 2",
    " \n x  y ",
    "CafÃ©",
    "caf\u00e9",
    "http://example.com/1?a=1&amp;b=2",
    "/rel",
    "a@example.com (Ann Bee)",
    "Ann &lt;a@b.example&gt;",
    "Mon, 27 Jul 2020 00:00:00 +0000",
    "2020-07-27T00:00:00Z",
    "27 Jul 20 10:00 EST",
    "never",
    "90",
    "daily",
    "\u201chi\u201d \x93",
)
TEXTUAL = (
    "title dc:title link guid author dc:creator itunes:author managingEditor pubDate dc:date lastBuildDate"
    " dcterms:modified description dc:description content:encoded itunes:summary itunes:subtitle category comments"
    " ttl sy:updatePeriod"
    " language dc:language foo:bar foo:title copyright generator media:keywords media:description media:credit"
    " itunes:explicit webMaster"
)
FIXED = (
    '<a:link rel="self" href="http://example.com/feed"/>',
    '<a:link rel="hub" href="http://hub.example/"/>',
    '<a:link href="/alt" type="text/html"/>',
    '<link href="http://example.com/attr"/>',
    '<guid isPermaLink="false">7</guid>',
    '<guid isPermaLink="true">http://example.com/g</guid>',
    '<enclosure url="/a.mp3" type="Audio/MPEG" length="12"/>',
    '<media:content url="/c.jpg" medium="image" width="100" isDefault="true"/>',
    '<media:content url="/v.mp4"><media:title>m</media:title><media:thumbnail url="/t.jpg"/></media:content>',
    "<media:group><media:title>g</media:title><media:thumbnail>/t2.jpg</media:thumbnail></media:group>",
    '<media:group><media:description>d</media:description><media:content url="/c.png"/></media:group>',
    '<itunes:image href="/i.jpg"/>',
    "<image><url>/logo.png</url><title>no</title><link>http://example.com/no</link></image>",
    "<source url='http://example.com/s'>Source</source>",
    "<foo:box><title>inner</title></foo:box>",
    "<foo:box><foo:inner>x</foo:inner></foo:box>",
    "<textInput><title>t</title><name>n</name><link>http://example.com/t</link></textInput>",
    "<itunes:owner><itunes:name>o</itunes:name><itunes:email>o@example.com</itunes:email></itunes:owner>",
    "<!-- a comment -->",
    "<title>a <b>b</b></title>",
    "<description>a<!-- b -->c</description>",
    "<skipHours><hour>1</hour></skipHours>",
)
ATOM = (
    "<title>t</title>",
    '<title type="html">&lt;i&gt;t&lt;/i&gt;</title>',
    '<title type="xhtml"><div>t</div></title>',
    "<id>tag:x,1</id>",
    "<id>http://example.com/id</id>",
    '<link href="/a"/>',
    '<link rel="self" href="/s"/>',
    '<link rel="alternate" type="application/json" href="/j"/>',
    '<link rel="enclosure" href="/e.mp3" length="3"/>',
    "<author><name>Ann</name><email>a@example.com</email><uri>http://example.com/</uri></author>",
    "<author><email>b@example.com</email></author>",
    "<author>Text</author>",
    "<published>2020-07-27T00:00:00+02:00</published>",
    "<updated>2020-07-28T00:00:00.5Z</updated>",
    "<summary>s &amp;amp; s</summary>",
    '<summary type="html">&lt;b&gt;s&lt;/b&gt;</summary>',
    "<content>c</content>",
    '<content type="html">&lt;p&gt;c&lt;/p&gt;</content>',
    '<content type="text/html">&lt;p&gt;d&lt;/p&gt;</content>',
    '<content type="xhtml"><div xmlns="http://www.w3.org/1999/xhtml"><p>e</p></div></content>',
    '<content src="/x" type="text/html"/>',
    '<content type="image/png">AAAA</content>',
    "<category term='x'/>",
    "<contributor><name>C</name></contributor>",
    "<source><id>s</id><title>st</title><author><name>SA</name></author></source>",
    "<rights>r</rights>",
    "<icon>/i.ico</icon>",
    "<logo>/l.png</logo>",
    "<subtitle>sub</subtitle>",
    "<generator uri='/g'>g</generator>",
)

textual = st.builds("<{0}>{1}</{0}>".format, st.sampled_from(TEXTUAL.split()), st.sampled_from(TEXTS))
children = st.lists(textual | st.sampled_from(FIXED), max_size=8).map("".join)
atom_children = st.lists(st.sampled_from(ATOM), max_size=7).map("".join)


def same(text: str) -> bool:
    """Compare both readers; return whether the fast one read it."""
    document = read_tree(text, URL)
    if document is not None:
        with suppress(Reject):
            theirs = xml_feeds.from_document(xml_feeds.by_feedparser(text, URL), text, URL)
            assert theirs == xml_feeds.from_document(document, text, URL)
    return document is not None


@given(children, st.lists(children, max_size=3))
@settings(max_examples=400, deadline=None)
def test_rss_is_read_as_feedparser_reads_it(channel: str, items: list[str]) -> None:
    entries = "".join(f"<item>{item}</item>" for item in items)
    same(f'<?xml version="1.0"?><rss version="2.0" {NAMESPACES}><channel>{channel}{entries}</channel></rss>')


@given(atom_children, st.lists(atom_children, max_size=3))
@settings(max_examples=300, deadline=None)
def test_atom_is_read_as_feedparser_reads_it(feed: str, entries: list[str]) -> None:
    inside = feed + "".join(f"<entry>{entry}</entry>" for entry in entries)
    same(f'<feed xmlns="http://www.w3.org/2005/Atom" xml:lang="en">{inside}</feed>')


def test_the_cases_are_read_as_feedparser_reads_them() -> None:
    read = [same(text) for path in CASES.rglob("*.xml") if (text := sniff(decode(path.read_bytes(), None))[1])]
    assert sum(read) > 150


@pytest.mark.parametrize(
    "text",
    [
        "<rss",
        "<rss version='2.0'><channel><title>A & B</title></channel></rss>",
        "<!DOCTYPE rss [<!ENTITY a 'b'>]><rss version='2.0'><channel><title>&a;</title></channel></rss>",
        "<feed xmlns='http://www.w3.org/2005/Atom' xml:base='http://x/'/>",
        "<feed version='0.3' xmlns='http://purl.org/atom/ns#'/>",
        "<rdf:RDF xmlns:rdf='http://www.w3.org/1999/02/22-rdf-syntax-ns#'/>",
        "<rss version='2.0'><channel><item><title>a <b>b</b></title></item></channel></rss>",
        "<rss version='2.0'></rss>",
        "",
    ],
)
def test_what_is_unusual_is_left_to_feedparser(text: str) -> None:
    assert read_tree(text, URL) is None


def test_deep_nesting_is_left_to_feedparser() -> None:
    group = "<media:group>" * 50_000 + "</media:group>" * 50_000
    assert read_tree(f"<rss version='2.0' {NAMESPACES}><channel><item>{group}</item></channel></rss>", URL) is None
