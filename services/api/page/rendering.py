"""Renders the page's templates: escaped by default, with the filters that people's figures need."""

import hashlib
import time
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath

from services.api.requests import AnyRequest
from services.api.wording import rate, size
from shared.urls import resolve

HERE = Path(__file__).parent
TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
HTML = "text/html"  # Litestar says the character set

_PLACES = {"overview": "/", "articles": "/articles", "accounts": "/accounts", "add": "/add"}
_files = {path.name: path.read_bytes() for path in (HERE / "static").iterdir() if path.suffix[1:] in TYPES}
_tags = {name: hashlib.sha256(data).hexdigest()[:16] for name, data in _files.items()}


def ago(ms: int | None) -> str:
    """Return how long ago an epoch time is: `12 s ago`, `in 5 min`."""
    if not ms:
        return "never"
    seconds = time.time() - ms / 1000
    text = duration(int(abs(seconds) * 1000))
    return f"{text} ago" if seconds >= 0 else f"in {text}"


def duration(ms: int | None) -> str:
    """Return a duration in its largest fitting unit: `392 ms`, `3.4 s`, `5 min`, `2 h`, `4 days`."""
    if ms is None:
        return ""
    seconds = ms / 1000
    if seconds < 1:
        return f"{ms} ms"
    if seconds < 60:  # noqa: PLR2004 - seconds in a minute
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004 - two digits are enough
    for unit, length in (("min", 3_600), ("h", 86_400)):
        if seconds < length:
            return f"{seconds * 60 / length:.0f} {unit}" if unit == "min" else f"{seconds * 24 / length:.0f} {unit}"
    days = round(seconds / 86_400)
    return f"{days} day" if days == 1 else f"{days} days"


def day(ms: int) -> str:
    """Return the date of an epoch time, in UTC: `6 Sep 2020`."""
    moment = time.gmtime(ms / 1000)
    return f"{moment.tm_mday} {time.strftime('%b %Y', moment)}"


def usable(url: str | None) -> str:
    """Return the URL where it is one that a link may lead to, else an empty one."""
    return (resolve(url) if url else None) or ""


_environment = Environment(
    loader=FileSystemLoader(HERE / "templates"), autoescape=True, undefined=StrictUndefined, trim_blocks=True
)
_environment.filters |= {"ago": ago, "duration": duration, "day": day, "size": size, "usable": usable}
_environment.globals.update({"rate": rate, "versions": _tags})  # pyright: ignore[reportArgumentType, reportCallIssue] - jinja types its own globals only


def page(name: str, status: int = 200, **context: Any) -> Response[str]:
    """Return the template as a response."""
    html = _environment.get_template(f"{name}.html").render(here=_PLACES.get(name, ""), **context)
    return Response(html, status_code=status, media_type=HTML, headers={"Cache-Control": "no-store"})


@get("/static/{name:str}", opt={"public": True}, include_in_schema=False)
async def serve_static(request: AnyRequest, name: FromPath[str]) -> Response[bytes]:
    """Return one of the page's own files."""
    if name not in _files:
        raise NotFoundException("no such file")
    headers = {"ETag": f'"{_tags[name]}"', "Cache-Control": "public, max-age=3600"}
    if headers["ETag"] in request.headers.get("if-none-match", ""):
        return Response(b"", status_code=304, headers=headers)
    return Response(_files[name], headers=headers, media_type=TYPES[name.rpartition(".")[2]])
