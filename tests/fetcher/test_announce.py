"""What a poll found, as messages: pure, from parsed feeds written down here."""

from services.fetcher import announce
from services.fetcher import feed as feeds
from services.fetcher.feed import Entry, ParsedFeed
from services.fetcher.images import Image
from services.fetcher.state import News
from shared.messages import (
    Article,
    ArticleFound,
    ArticleUpdated,
    Enclosure,
    FeedFacts,
    FeedPolled,
    ImageJob,
    WantedImage,
)
from shared.urls import image_id, link_md5

NOW = 1_700_000_000_000
ABOUT = FeedPolled(request_id="r1", feed=7, asked=False, ok=True, started_ms=NOW)


def url(name: str) -> str:
    return f"https://x.example/{name}"


def entry(name: str, *images: Image, covers: tuple[str, ...] = (), **more: object) -> Entry:
    link = url(name)
    return Entry(identity=name, link=link, link_md5=link_md5(link), images=images, covers=covers, **more)  # type: ignore[arg-type]


def body(name: str, *alternates: str) -> Image:
    return Image(url(name), alternates=tuple(map(url, alternates)))


def cover(name: str) -> Image:
    return Image(url(name), role="cover")


def feed(*entries: Entry, **more: object) -> ParsedFeed:
    return ParsedFeed(kind="rss", entries=entries, **more)  # type: ignore[arg-type]


def news(new: tuple[Entry, ...] = (), updated: tuple[Entry, ...] = (), seen: tuple[Entry, ...] = ()) -> News:
    return News(new, updated, seen)


def use(name: str, role: str) -> WantedImage:
    return WantedImage(image=image_id(url(name)), source=url(name), role=role)


def test_an_article_is_told_as_its_feed_gives_it() -> None:
    told = entry(
        "a",
        id="guid",
        title="T",
        author="A",
        published="Mon, 27 Jul 2020 00:00:00 GMT",
        published_ms=5,
        body="<p>b</p>",
        enclosures=(feeds.Enclosure(url("e.mp3"), "audio/mpeg", 7),),
    )
    expected = Article(
        link_md5=link_md5(url("a")),
        link=url("a"),
        title="T",
        body="<p>b</p>",
        author="A",
        published="Mon, 27 Jul 2020 00:00:00 GMT",
        published_ms=5,
        found_ms=NOW,
        guid="guid",
        enclosures=(Enclosure(url=url("e.mp3"), type="audio/mpeg", length=7),),
    )
    assert announce.articles(feed(told), news(new=(told,)), ABOUT) == [
        ArticleFound(request_id="r1", feed=7, position=0, article=expected)
    ]


def test_new_and_updated_articles_keep_their_places_in_the_feed() -> None:
    a, b, c, d = (entry(name) for name in "abcd")
    told = announce.articles(feed(a, b, c, d), news(new=(b, d), updated=(c,), seen=(a,)), ABOUT)
    assert [(type(event), event.position) for event in told] == [
        (ArticleFound, 1),
        (ArticleFound, 3),
        (ArticleUpdated, 2),
    ]


def test_every_use_of_an_image_is_wanted_the_covers_first() -> None:
    told = entry("a", body("1"), body("2"), body("1"), covers=(url("2"), url("1")))
    [event] = announce.articles(feed(told), news(new=(told,)), ABOUT)
    assert event.article.images == (use("2", "cover"), use("1", "body"), use("2", "body"), use("1", "body"))
    assert event.article.covers == (image_id(url("2")), image_id(url("1")))


def test_a_cover_that_the_body_has_not_is_no_body_image() -> None:
    told = entry("a", cover("c"), body("1"), covers=(url("c"),))
    [event] = announce.articles(feed(told), news(new=(told,)), ABOUT)
    assert event.article.images == (use("c", "cover"), use("1", "body"))


def test_each_image_gets_one_job_however_many_articles_want_it() -> None:
    a, b = entry("a", body("1", "1-small"), body("2")), entry("b", body("2"), body("1"), body("3"))
    jobs = announce.jobs(feed(a, b), news(new=(a, b)), ABOUT)
    assert [(job.source, job.referer) for job in jobs] == [
        (url("1"), url("a")),
        (url("2"), url("a")),
        (url("3"), url("b")),
    ]
    assert jobs[0] == ImageJob(
        image=image_id(url("1")),
        source=url("1"),
        referer=url("a"),
        alternates=(url("1-small"),),
        request_id="r1",
        feed=7,
    )


def test_a_cover_that_only_may_be_gets_no_job() -> None:
    told = entry("a", cover("c"), cover("d"), covers=(url("c"), url("d")))
    assert [job.source for job in announce.jobs(feed(told), news(new=(told,)), ABOUT)] == [url("c")]


def test_what_was_seen_already_gets_no_job() -> None:
    a = entry("a", body("1"))
    assert announce.jobs(feed(a), news(seen=(a,)), ABOUT) == []


def test_the_icon_gets_a_job_with_the_site_as_referer() -> None:
    jobs = announce.jobs(feed(icon=url("icon.png"), link=url("")), news(), ABOUT)
    assert [(job.source, job.referer) for job in jobs] == [(url("icon.png"), url(""))]


def test_the_poll_tells_what_it_found_and_where() -> None:
    week = 7 * 86_400_000
    a = entry("a", published_ms=NOW - 5, invalid_hrefs={"javascript:x": 2})
    b = entry("b", published_ms=NOW - week, invalid_hrefs={"javascript:x": 1, "": 1})
    c = entry("c", published_ms=NOW + 5)
    parsed = feed(a, b, c, title="T", description="D", link=url(""), icon=url("i"))
    polled = announce.tell(ABOUT, parsed, news(new=(a,), updated=(b,), seen=(c,)), url=url("feed"), website=url("page"))
    assert (polled.entries, polled.found, polled.updated) == (3, (a.link_md5,), (b.link_md5,))
    assert polled.invalid_hrefs == {"javascript:x": 3, "": 1}
    assert polled.icon == use("i", "icon")
    assert polled.facts == FeedFacts(
        title="T",
        description="D",
        link=url(""),
        icon=url("i"),
        url=url("feed"),
        website=url("page"),
        weekly=1,
    )
