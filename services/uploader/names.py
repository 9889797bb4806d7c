"""Names of stored objects: the day of the poll and the hash of the bytes; the same input names the same object."""

import hashlib
import re

from shared.errors import Reject

EXTENSIONS = {
    "image/webp": "webp",
    "image/gif": "gif",
    "image/png": "png",
    "image/apng": "png",
    "image/jpeg": "jpg",
    "image/avif": "avif",
    "image/bmp": "bmp",
    "image/x-icon": "ico",
    "image/vnd.microsoft.icon": "ico",
}
_DAY = re.compile(r"[0-9]{4}/[0-9]{2}/[0-9]{2}")
_NAME = re.compile(r"(?P<day>[0-9]{4}/[0-9]{2}/[0-9]{2})/(?P<hash>[0-9a-f]{32})\.(webp|gif|png|jpg|avif|bmp|ico)")


def content_hash(data: bytes) -> str:
    """Return the first 128 bits of the SHA-256 of `data` as 32 hex digits."""
    return hashlib.sha256(data).hexdigest()[:32]


def object_name(content: str, content_type: str, day: str) -> str:
    """Return `YYYY/MM/DD/<content hash>.<extension>`.

    Raises:
        Reject: The type is none that we serve, or the day is no `YYYY/MM/DD`.
    """
    extension = EXTENSIONS.get(content_type.partition(";")[0].strip().lower())
    if extension is None:
        raise Reject(f"cannot store a {content_type!r}: only images that browsers show")
    if not _DAY.fullmatch(day):
        raise Reject(f"cannot store under the day {day!r}: it must read YYYY/MM/DD")
    return f"{day}/{content}.{extension}"


def is_object_name(name: str) -> bool:
    """Tell whether `name` is one that `object_name` gives: nothing else exists in any store."""
    return _NAME.fullmatch(name) is not None


def hash_in(name: str) -> str:
    """Return the content hash that an object's name carries.

    Raises:
        Reject: It is no object's name.
    """
    match = _NAME.fullmatch(name)
    if match is None:
        raise Reject(f"{name!r} is no object's name")
    return match["hash"]
