"""What is no picture."""

import pytest

from services.fetcher.pixels import declared, is_placeholder, is_tracker, may_be_cover


@pytest.mark.parametrize(
    "url",
    [
        "https://pixel.wp.com/b.gif?host=x",
        "http://feeds.feedburner.com/~r/Blog/~4/abc",
        "http://feeds.wordpress.com/1.0/comments/x/1/",
        "https://www.facebook.com/tr?id=1&ev=PageView",
        "https://medium.com/_/stat?event=x",
        "https://ad.doubleclick.net/ddm/trackimp/x",
        "https://www.google-analytics.com/collect?v=1",
        "https://example.com/piwik.php?idsite=1",
        "https://example.com/matomo.php?idsite=1",
        "https://track.example.com/open?x=1",
        "https://b.scorecardresearch.com/p?c1=2",
        "https://example.com/pixel.gif?u=1",
        "https://stats.example.com/c.gif?u=1",
        "https://pixel.example.com/open/abc",
    ],
)
def test_counters_are_no_pictures(url: str) -> None:
    assert is_tracker(url, {})


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/a.gif",
        "https://example.com/statistics/chart.png",
        "https://example.com/tracking-shot.jpg",
        "https://images.example.com/pixel-art.png",
        "https://medium.com/max/1024/1*abc.png",
        "https://www.facebook.com/images/x.png",
        "https://example.com/counter.jpg",
        "https://stats.example.com/chart.png?year=2020",
        "https://pixel.example.com/art.png",
    ],
)
def test_pictures_are_no_counters(url: str) -> None:
    assert not is_tracker(url, {})


@pytest.mark.parametrize(
    ("attributes", "tracker"),
    [
        ({"width": "1", "height": "1"}, True),
        ({"width": "0"}, True),
        ({"height": "1px"}, True),
        ({"style": "display:none"}, True),
        ({"style": "visibility: hidden;"}, True),
        ({"style": "width:1px; height:1px"}, True),
        ({"hidden": ""}, True),
        ({"width": "100%"}, False),
        ({"width": "10"}, False),
        ({"style": "max-width:1px"}, False),
        ({}, False),
    ],
)
def test_what_is_too_small_to_see_is_no_picture(attributes: dict[str, str], tracker: bool) -> None:
    assert tracker == is_tracker("https://example.com/a.png", attributes)


@pytest.mark.parametrize(
    ("url", "attributes"),
    [
        ("https://s.w.org/images/core/emoji/13.0.0/72x72/1f600.png", {}),
        ("https://twemoji.maxcdn.com/v/13/72x72/1f600.png", {}),
        ("https://github.githubassets.com/images/icons/emoji/unicode/1f44d.png", {}),
        ("https://example.com/wp-includes/images/smilies/icon_smile.gif", {}),
        ("https://secure.gravatar.com/avatar/abc?s=96", {}),
        ("https://example.com/users/avatar.png", {}),
        ("https://img.shields.io/badge/build-passing", {}),
        ("https://example.com/colab-badge.svg", {}),
        ("https://pagead2.googlesyndication.com/x.png", {}),
        ("https://ads.example.com/banner.png", {}),
        ("https://example.com/a.png", {"width": "16", "height": "16"}),
        ("https://example.com/a.png", {"class": "wp-smiley"}),
        ("https://example.com/a.png", {"class": "photo avatar"}),
        ("https://example.com/a.png", {"style": "height:1em;width:20px"}),
        ("https://pixel.wp.com/b.gif", {}),
    ],
)
def test_what_must_never_be_a_cover(url: str, attributes: dict[str, str]) -> None:
    assert not may_be_cover(url, attributes)


@pytest.mark.parametrize(
    ("url", "attributes"),
    [
        ("https://example.com/a.png", {}),
        ("https://example.com/a.png", {"width": "640", "height": "480"}),
        ("https://example.com/a.png", {"class": "iconic photo"}),
        ("https://example.com/uploads/icons-of-design.jpg", {}),
        ("https://example.com/loads/a.png", {}),
    ],
)
def test_what_may_be_a_cover(url: str, attributes: dict[str, str]) -> None:
    assert may_be_cover(url, attributes)


@pytest.mark.parametrize(
    ("url", "placeholder"),
    [
        ("data:image/gif;base64,AA", True),
        ("", True),
        ("about:blank", True),
        ("/img/blank.gif", True),
        ("/img/placeholder-16x9.png", True),
        ("/lazyload.svg", True),
        ("https://via.placeholder.com/300", True),
        ("/loading_spinner.gif", True),
        ("/trans1x1.gif", True),
        ("/a.jpg", False),
        ("/images/transformer_1.png", False),
        ("/images/dots.png", False),
        ("/images/pixel-art-cat.png", False),
        ("/blank-page-syndrome/cat.jpg", False),
    ],
)
def test_what_merely_holds_the_place(url: str, placeholder: bool) -> None:
    assert placeholder == is_placeholder(url)


@pytest.mark.parametrize(
    ("attributes", "width"),
    [
        ({"width": "640"}, 640),
        ({"width": " 640px "}, 640),
        ({"width": "640.5"}, 640),
        ({"width": "50%"}, None),
        ({"style": "width: 320px"}, 320),
        ({"style": "max-width: 320px"}, None),
        ({"width": "9" * 40}, 100_000),
        ({}, None),
    ],
)
def test_how_wide_an_element_says_it_is(attributes: dict[str, str], width: int | None) -> None:
    assert width == declared("width", attributes)
