"""Object names."""

import pytest

from services.uploader.names import content_hash, hash_in, is_object_name, object_name
from shared.errors import Reject

HASH = "2cf24dba5fb0a30e26e83b2ac5b9e29e"


def test_the_hash_is_the_first_half_of_the_sha256() -> None:
    assert content_hash(b"hello") == HASH


def test_a_name_is_the_polls_day_and_the_contents_hash() -> None:
    assert object_name(HASH, "image/webp", "2026/11/25") == f"2026/11/25/{HASH}.webp"


def test_bytes_kept_from_the_source_keep_their_type() -> None:
    assert object_name(HASH, "image/gif; foo=bar", "2026/11/25") == f"2026/11/25/{HASH}.gif"


@pytest.mark.parametrize("content_type", ["text/html", "image/svg+xml", "", "webp"])
def test_what_is_no_plain_image_is_never_stored(content_type: str) -> None:
    with pytest.raises(Reject, match="only images"):
        object_name(HASH, content_type, "2026/11/25")


@pytest.mark.parametrize("day", ["2026-11-25", "../../etc", "2026/11/25/", "2026/1/2", ""])
def test_a_day_of_another_form_is_rejected(day: str) -> None:
    with pytest.raises(Reject, match="YYYY/MM/DD"):
        object_name(HASH, "image/webp", day)


@pytest.mark.parametrize(
    "name",
    [
        "",
        f"2026/11/25/{HASH}",
        f"2026/11/25/{HASH}.html",
        f"2026/11/25/{HASH.upper()}.webp",
        f"2026/11/25/{HASH}.webp\n",
        f"2026/11/25/../{HASH}.webp",
        f"/2026/11/25/{HASH}.webp",
        f"2026/11/25//{HASH}.webp",
        f"2026/11/25/{HASH}.webp/..",
        f"\u0662026/11/25/{HASH}.webp",
        "../../../etc/passwd",
    ],
)
def test_nothing_but_the_strict_pattern_is_a_name(name: str) -> None:
    assert not is_object_name(name)
    with pytest.raises(Reject):
        hash_in(name)


def test_a_name_carries_its_contents_hash() -> None:
    assert hash_in(f"2026/11/25/{HASH}.webp") == HASH
