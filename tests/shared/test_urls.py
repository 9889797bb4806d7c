"""URLs as names."""

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.urls import feed_token, host_of, image_id, link_md5, normalise, resolve

BASE = "http://example.com/blog/post?x=1"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://example.com/a", "http://example.com/a"),
        ("HTTPS://EXAMPLE.com/A", "https://example.com/A"),
        ("  http://example.com/a\n", "http://example.com/a"),
        ("http://exam\nple.com/\ta", "http://example.com/a"),
        ("a.png", "http://example.com/blog/a.png"),
        ("/a.png", "http://example.com/a.png"),
        ("../a.png", "http://example.com/a.png"),
        ("//cdn.example/a.png", "http://cdn.example/a.png"),
        ("?y=2", "http://example.com/blog/post?y=2"),
        ("#n", "http://example.com/blog/post?x=1#n"),
        ("\\a\\b.png", "http://example.com/a/b.png"),
        ("http:\\\\example.com\\a", "http://example.com/a"),
        ("http:///example.com/a", "http://example.com/a"),
        ("http:example.com/a", "http://example.com/a"),
        ("http://example.com/a b", "http://example.com/a%20b"),
        ("http://example.com/é?q=ü#ß", "http://example.com/%C3%A9?q=%C3%BC#%C3%9F"),
        ("http://example.com/%7Ea%2fb", "http://example.com/%7Ea%2fb"),
        ("http://example.com/100%", "http://example.com/100%"),
        ('http://example.com/a"<b>', "http://example.com/a%22%3Cb%3E"),
        ("http://bücher.example/", "http://xn--bcher-kva.example/"),
        ("http://[2001:db8::1]:8080/a", "http://[2001:db8::1]:8080/a"),
        ("http://user:pass@example.com/", "http://user:pass@example.com/"),
        ("http://[u@example.com/", "http://%5Bu@example.com/"),
        ("http://[::1]:a@b@[2001:db8::1]/", "http://%5B::1%5D:a%40b@[2001:db8::1]/"),
        ("http://example.com", "http://example.com"),
        ("http://my_host.example.com/", "http://my_host.example.com/"),
    ],
)
def test_a_url_is_made_absolute(url: str, expected: str) -> None:
    assert expected == resolve(url, BASE)


@pytest.mark.parametrize("path", ["", "/a", "/a b"])
@pytest.mark.parametrize("host", ["a" * 63 + ".example", ".".join(["a" * 62] * 4) + "." + "b", "a." * 126 + "b."])
def test_a_host_may_be_as_long_as_the_dns_allows(host: str, path: str) -> None:
    assert resolve(f"http://{host}{path}") == f"http://{host}{path.replace(' ', '%20')}"


@pytest.mark.parametrize("path", ["", "/a", "/a b"])
@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a." * 126 + "bc", "a" * 5000, "ü" * 64 + ".example"])
def test_a_host_longer_than_that_is_none(host: str, path: str) -> None:
    assert resolve(f"http://{host}{path}") is None
    assert resolve(f"//{host}{path}", BASE) is None
    assert resolve("a", f"http://{host}/") is None


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        "data:image/png;base64,AAAA",
        "mailto:a@example.com",
        "ftp://example.com/a",
        "file:///etc/passwd",
        "http://",
        "http://:80/",
        "http://exa mple.com/",
        "http://example.com:99999/",
        "http://[::1/",
        "http://[:::]/",
        "http://-/",
        "http://a..example/",
        "http://.a.example/",
        "http://a.example../",
        "http://ü..example/",
        "http://a<b/",
        "about:blank",
    ],
)
def test_what_cannot_be_asked_for_is_no_url(url: str) -> None:
    assert resolve(url, BASE) is None


def test_a_relative_url_without_a_base_is_none() -> None:
    assert resolve("a.png") is None


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://EXAMPLE.com:80", "http://example.com/"),
        ("https://example.com:443/", "https://example.com/"),
        ("https://example.com:80/", "https://example.com:80/"),
        ("http://example.com:08090/", "http://example.com:8090/"),
        ("http://example.com:0080/", "http://example.com/"),
        ("http://example.com/a/./b/../c", "http://example.com/a/c"),
        ("http://example.com/../a", "http://example.com/a"),
        ("http://example.com/a/..", "http://example.com/"),
        ("http://example.com/a/.", "http://example.com/a/"),
        ("http://example.com/%7ea%2f", "http://example.com/~a%2F"),
        ("http://example.com/a?b=%41#c", "http://example.com/a?b=A"),
        ("http://example.com/a//b", "http://example.com/a//b"),
    ],
)
def test_spellings_of_one_url_are_one(url: str, expected: str) -> None:
    assert expected == normalise(url)


def test_normalising_what_is_no_url_says_so() -> None:
    with pytest.raises(ValueError, match="is no absolute"):
        normalise("a.png")


@given(st.text(max_size=80))
def test_any_text_is_a_url_or_none(text: str) -> None:
    url = resolve(text, BASE)
    if url is not None:
        assert url.isascii()
        assert url == resolve(url)
        assert normalise(url) == normalise(normalise(url))


@given(st.text(alphabet="[]@:/?#%.a1\u00fc", max_size=20))
def test_whatever_is_a_url_has_parts(text: str) -> None:
    url = resolve(f"http://{text}")
    if url is not None:
        assert urlsplit(url).hostname
        assert urlsplit(url).port != ""


def test_an_image_is_named_by_its_normalised_url() -> None:
    assert image_id("http://example.com/a.png") != "e5d1e4a7aa2e1ac5e5e4b0fd5a2a5e6e"
    assert len(image_id("http://example.com/a.png")) == 32
    assert image_id("http://example.com/a.png") == image_id("HTTP://example.com:80/./a.png#x")
    assert image_id("http://example.com/a.png") != image_id("https://example.com/a.png")


def test_a_feed_has_a_name_for_subjects() -> None:
    assert feed_token("http://example.com/feed").isalnum()


def test_a_link_has_the_md5_of_the_record() -> None:
    link = "http://jalammar.github.io/how-gpt3-works-visualizations-animations"
    assert link_md5(link) == "166bebb6946158bbf01ccc0070ebc8e4"


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://Example.com:80/a", "example.com"),
        ("http://u@example.com/", "example.com"),
        ("http://[::1]:80/", "[::1]"),
        ("a", ""),
    ],
)
def test_the_host_of_a_url(url: str, host: str) -> None:
    assert host == host_of(url)
