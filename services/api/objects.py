"""Serves the objects of local storage accounts below `/img`: immutable, by strict names, with ranges (RFC 9110)."""

import asyncio
import re
from pathlib import Path

import msgspec
from litestar import Response, route
from litestar.exceptions import HTTPException, NotFoundException
from litestar.params import FromPath

from services.api.requests import AnyRequest
from services.api.services import ApiParts

_NAME = re.compile(
    r"/(?P<account>[a-z0-9][a-z0-9-]{0,62})/(?P<day>[0-9]{4}/[0-9]{2}/[0-9]{2})"
    r"/(?P<hash>[0-9a-f]{32})\.(?P<extension>webp|gif|png|jpg|avif|bmp|ico)"
)
_TYPES = {"jpg": "image/jpeg", "ico": "image/x-icon"}
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")


class Part(msgspec.Struct, frozen=True):
    """Bytes `start` to `end`, the latter left out, of an object."""

    start: int
    end: int


@route("/img/{name:path}", http_method=["GET", "HEAD"], opt={"public": True}, include_in_schema=False)
async def serve_object(request: AnyRequest, name: FromPath[str], api: ApiParts) -> Response[bytes]:
    """Return an object, or the part of it that is asked for."""
    match = _NAME.fullmatch(name)
    if not match:
        raise NotFoundException("no such image: objects are named /img/<account>/YYYY/MM/DD/<hash>.<extension>")
    path = api.settings.data / "objects" / match["account"] / match["day"] / f"{match['hash']}.{match['extension']}"
    tag = f'"{match["hash"]}"'
    headers = {"ETag": tag, "Cache-Control": "public, max-age=31536000, immutable", "Accept-Ranges": "bytes"}
    known = request.headers.get("if-none-match", "")
    if tag in known:
        return Response(b"", status_code=304, headers=headers)
    size = await asyncio.to_thread(_size, path)
    if size is None:
        raise NotFoundException("no such image: it was never stored here, or it was removed")
    if known.strip() == "*":
        return Response(b"", status_code=304, headers=headers)
    part = wanted_part(request.headers.get("range", ""), size) if _range_counts(request, tag) else None
    if part:
        headers["Content-Range"] = f"bytes {part.start}-{part.end - 1}/{size}"
    start, end = (part.start, part.end) if part else (0, size)
    body = b"" if request.method == "HEAD" else await asyncio.to_thread(_read, path, start, end)
    headers["Content-Length"] = str(end - start)
    media_type = _TYPES.get(match["extension"], f"image/{match['extension']}")
    return Response(body, status_code=206 if part else 200, headers=headers, media_type=media_type)


def wanted_part(header: str, size: int) -> Part | None:
    """Return the one range that a `Range` header asks for; None: all of it (RFC 9110, section 14.2).

    Raises:
        HTTPException: 416, the range lies outside.
    """
    match = _RANGE.fullmatch(header.strip())
    if not match or not any(match.groups()):
        return None
    first, last = match.groups()
    if not first:
        start, end = max(0, size - int(last)), size
    else:
        start, end = int(first), min(size, int(last) + 1) if last else size
        if last and int(last) < start:
            return None
    if start >= size or start >= end:
        raise HTTPException(
            f"the object has {size} bytes", status_code=416, headers={"Content-Range": f"bytes */{size}"}
        )
    return Part(start, end)


def _range_counts(request: AnyRequest, tag: str) -> bool:
    return request.headers.get("if-range", tag) == tag


def _size(path: Path) -> int | None:
    return path.stat().st_size if path.is_file() else None


def _read(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)
