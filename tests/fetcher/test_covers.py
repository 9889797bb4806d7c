"""The order of covers."""

from services.fetcher.covers import choose_covers, with_page_image
from services.fetcher.feed import Entry, RawMedia
from services.fetcher.images import Image

A, B, C = (f"http://example.com/{name}.jpg" for name in "abc")
SMALL = "http://example.com/icon.png"


def test_the_feed_s_own_choice_goes_first() -> None:
    found = choose_covers([RawMedia(C)], [Image(A), Image(B)])
    assert (found.covers, found.named) == ((C, A, B), 1)
    assert [(image.role, image.source) for image in found.images] == [("cover", C), ("body", A), ("body", B)]


def test_the_same_picture_in_the_body_is_wanted_once() -> None:
    found = choose_covers([RawMedia("http://example.com/b-150x150.jpg")], [Image(A), Image(B)])
    assert found.covers == (B, A)
    assert tuple(image.source for image in found.images) == (A, B)


def test_a_small_copy_in_the_body_is_not_taken_for_the_cover() -> None:
    found = choose_covers([RawMedia(B)], [Image("http://example.com/b-32x32.jpg", cover=False)])
    assert (found.covers, len(found.images)) == ((B,), 2)


def test_one_url_is_one_image_however_small_the_body_shows_it() -> None:
    found = choose_covers([RawMedia(B)], [Image(B, cover=False)])
    assert (found.covers, len(found.images)) == ((B,), 1)


def test_the_largest_of_the_feed_s_choices_is_taken() -> None:
    found = choose_covers([RawMedia(A, 100), RawMedia(B, 900), RawMedia(C)], [])
    assert [(image.source, image.alternates) for image in found.images] == [(B, (A, C))]


def test_what_must_not_be_a_cover_is_none_even_if_the_feed_says_so() -> None:
    assert choose_covers([RawMedia("https://secure.gravatar.com/avatar/x")], []).images == ()


def test_small_images_of_the_body_are_no_covers() -> None:
    found = choose_covers([], [Image(SMALL, cover=False), Image(A)])
    assert (found.covers, found.named) == ((A,), 0)


def test_an_article_without_images_has_no_cover() -> None:
    assert (choose_covers([], []).images, choose_covers([], []).covers) == ((), ())


def test_a_page_s_image_goes_before_the_body() -> None:
    entry = Entry(identity="x", images=(Image(A),), covers=(A,))
    found = with_page_image(entry, (B, C))
    assert (found.covers, tuple(image.source for image in found.images)) == ((B, A), (B, A))
    assert found.images[0].alternates == (C,)


def test_a_page_s_image_that_the_body_has_is_wanted_once() -> None:
    entry = Entry(identity="x", images=(Image(A), Image(B)), covers=(A, B))
    found = with_page_image(entry, ("http://example.com/b.jpg?w=1200",))
    assert (found.covers, len(found.images)) == ((B, A), 2)


def test_a_page_s_image_changes_nothing_where_the_feed_named_one() -> None:
    entry = Entry(identity="x", images=(Image(A),), covers=(A,), covers_named=1)
    assert entry is with_page_image(entry, (B,))


def test_a_page_without_an_image_changes_nothing() -> None:
    entry = Entry(identity="x", images=(Image(A),), covers=(A,))
    assert entry is with_page_image(entry, ())
    assert entry is with_page_image(entry, ("https://secure.gravatar.com/avatar/x",))
