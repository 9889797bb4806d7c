"""GitHub's answers as values or typed failures, shared by all ways to commit."""

import base64
import hashlib
from typing import Any

import httpx
import msgspec

from shared.errors import Retry

UNSUPPORTED = (404, 405, 410, 501)


class Committed(msgspec.Struct, frozen=True):
    """Files that are on the branch."""

    commit: str  # a commit that has them
    created: frozenset[str]  # the paths that were not there before


class Missing(Retry):
    """The repository or its branch is not there."""


class Conflict(Exception):
    """The branch moved under us: look again."""


class Unsupported(Exception):
    """This server does not have that API."""


def blob_sha(data: bytes) -> str:
    """Return the name that git gives to a blob of these bytes."""
    return hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()


def base64_of(data: bytes) -> str:
    """Return the bytes as JSON can carry them."""
    return base64.b64encode(data).decode()


def json_of(answer: httpx.Response, *expected: int) -> dict[str, Any]:
    """Return the answer's body. Raises `Retry` where it has another status or no JSON."""
    expect(answer, *expected)
    try:
        return answer.json()
    except ValueError:
        raise Retry(f"GitHub {answer.request.method} {answer.request.url.path}: the answer is no JSON") from None


def expect(answer: httpx.Response, *expected: int) -> None:
    """Raise `Retry` where the answer has another status."""
    if answer.status_code not in expected:
        request = answer.request
        raise Retry(f"GitHub {request.method} {request.url.path}: HTTP {answer.status_code}")
