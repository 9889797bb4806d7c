"""What `halftone fetch` says on stderr while images settle."""

import io
from pathlib import Path

import pytest

from services.standalone.once import reason
from services.standalone.progress import Progress, human, say_where
from shared.messages import Article, ArticleFound, FeedPolled, ImageFailed, ImageMirrored, WantedImage

SITE = "http://site.example"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def found(*names: str, request_id: str = "ours") -> ArticleFound:
    images = tuple(WantedImage(image=name, source=f"{SITE}/{name}", role="body") for name in names)
    article = Article(link_md5="a", link=f"{SITE}/a", title="A", body="", images=images)
    return ArticleFound(request_id=request_id, feed=1, position=0, article=article)


def mirrored(name: str, *, known: bool = False) -> ImageMirrored:
    return ImageMirrored(
        image=name,
        source=f"{SITE}/{name}",
        url="http://cdn.example/1.webp",
        width=1,
        height=1,
        frames=1,
        source_bytes=353_400,
        rendition_bytes=1_024,
        known=known,
    )


def failed(name: str) -> ImageFailed:
    return ImageFailed(image=name, source=f"{SITE}/{name}", reason=f"{SITE}/{name} answered HTTP 404")


def said(out: io.StringIO, *events: ArticleFound | FeedPolled | ImageMirrored | ImageFailed) -> str:
    progress = Progress("ours", out)
    for event in events:
        progress.see(event)
    return out.getvalue()


def test_an_image_is_one_line_with_its_sizes_however_often_it_is_told() -> None:
    assert said(io.StringIO(), found("a.png"), mirrored("a.png"), mirrored("a.png")) == (
        "   345.1 KB → 1.0 KB  http://site.example/a.png\n"
    )


def test_an_image_that_was_mirrored_before_says_so() -> None:
    assert said(io.StringIO(), found("a.png"), mirrored("a.png", known=True)).split() == ["known", f"{SITE}/a.png"]


def test_a_failed_image_says_why_and_its_url_once() -> None:
    assert said(io.StringIO(), found("a.png"), failed("a.png")).strip() == (
        "failed  http://site.example/a.png: answered HTTP 404"
    )


def test_images_that_other_polls_want_are_not_shown() -> None:
    assert said(io.StringIO(), found("a.png", request_id="theirs"), mirrored("a.png")) == ""


def test_a_terminal_has_a_counter_below_which_other_output_has_not() -> None:
    events = (found("a.png", "b.png"), mirrored("a.png"), FeedPolled(request_id="ours", feed=1, asked=True, ok=True))
    assert said(Terminal(), *events).endswith("\r\x1b[K1 of 2 images settled")
    assert "settled" not in said(io.StringIO(), *events)


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KB"), (5 << 20, "5.0 MB"), (3 << 30, "3.0 GB")]
)
def test_sizes_are_said_as_people_read_them(size: int, text: str) -> None:
    assert human(size) == text


def totals(articles: int, images: int) -> str:
    out = io.StringIO()
    Progress("ours", out).done(articles=articles, images=images, mirrored=images)
    return out.getvalue()


def test_the_last_line_says_the_totals_or_that_there_is_nothing_new() -> None:
    assert totals(1, 2) == "1 articles, 2 images: 2 mirrored, 0 failed\n"
    assert totals(1, 0) == "1 articles, 0 images: 0 mirrored, 0 failed\n"
    assert totals(0, 0) == "nothing new since the last poll\n"


def test_people_are_told_how_to_see_the_images_and_scripts_are_not() -> None:
    terminal, pipe = Terminal(), io.StringIO()
    for out in (terminal, pipe):
        say_where(Path("my data"), out)
    assert (terminal.getvalue(), pipe.getvalue()) == ("to see the images: halftone up --data 'my data'\n", "")


def test_a_refusal_names_the_fields_where_it_can() -> None:
    fields = {"detail": "change the fields named in `errors`", "errors": ["url: it is empty", "x: too long"]}
    assert reason(fields) == "url: it is empty; x: too long"
    assert reason({"detail": "no such feed", "errors": []}) == reason({"detail": "no such feed"}) == "no such feed"
