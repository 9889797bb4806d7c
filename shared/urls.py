"""URLs as names: made absolute, normalised, and hashed into the ids that travel on the bus."""

import hashlib
import re
from ipaddress import IPv6Address
from urllib.parse import quote, urljoin, urlsplit

import idna
import idna.uts46data  # pyright: ignore[reportUnusedImport] - else loaded late, in a sandbox that can open no file

_SPLIT = re.compile(r"(https?)://([^/?#]*)([^?#]*)(\?[^#]*)?(#.*)?", re.IGNORECASE | re.DOTALL)
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)
_SLASHES = re.compile(r"(https?):/*", re.IGNORECASE)
_BEFORE_QUERY = re.compile(r"[^?#]*")
_HOST = re.compile(r"[a-z0-9_](?:[a-z0-9_.-]*[a-z0-9_.])?|\[[0-9a-f:.]+\]")
_AUTHORITY = re.compile(r"(?:(.*)@)?(\[[^\]]*\]|[^:]*)(?::(\d*))?", re.DOTALL)
_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})")
_CLEAN = re.compile(
    r"https?://([a-z0-9](?:[a-z0-9.-]*[a-z0-9])?)(?::[1-9]\d{0,3})?"
    r"(?:/[\w!$&'()*+,;=:@%~./-]*(?:\?[\w!$&'()*+,;=:@%~./?-]*)?)?",
    re.ASCII,
)
_USER = re.compile(r"(https?://)[^/?#]*@", re.IGNORECASE)
_DEFAULT_PORTS = {"http": "80", "https": "443"}
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_MAX_PORT = 65535
_MAX_HOST, _MAX_LABEL = 253, 63  # characters, RFC 1035, section 2.3.4
# What the WHATWG URL standard leaves alone in a path and in a query; quote() itself keeps letters, digits, _.-~
_PATH_SAFE = "%/:@!$&'()*+,;=|[]"
_USER_SAFE = "%:!$&'()*+,;="  # no bracket above all: it would begin or end an IPv6 address
_QUERY_SAFE = "%/:@!$&'()*+,;=|[]?{}^`\\"
_FRAGMENT_SAFE = _QUERY_SAFE + "#"


def resolve(url: str, base: str = "") -> str | None:
    """Return `url` as an absolute http or https URL that can be asked for, or None where it is none.

    Follows the WHATWG URL standard where feeds need it: white space inside is dropped, backslashes are slashes,
    what may not stand in a URL is percent-encoded as UTF-8, hosts become lower-case ASCII (IDNA 2008, UTS 46).
    What the author wrote is otherwise kept, the fragment too.

    Args:
        url: As found in the feed; relative where it likes.
        base: An absolute URL that a relative one is resolved against; empty: only absolute ones are usable.
    """
    url = url.strip("".join(map(chr, range(33)))).translate({9: None, 10: None, 13: None})
    if (clean := _CLEAN.fullmatch(url)) and _fits(clean.group(1)):
        return url
    try:
        return _rebuild(_absolute(url, base))
    except ValueError:
        return None


def normalise(url: str) -> str:
    """Return the one spelling of an http(s) URL under which it is known (RFC 3986, section 6.2.2 and 6.2.3).

    Beyond `resolve`: no fragment, no default port, dot segments removed, an empty path is `/`, percent-escapes
    in upper case and only where they are needed.

    Raises:
        ValueError: `url` is no absolute http or https URL.
    """
    absolute = resolve(url)
    match = absolute and _SPLIT.fullmatch(absolute)
    if not match:
        raise ValueError(f"{url!r} is no absolute http or https URL")
    scheme, authority, path, query, _ = match.groups(default="")
    authority = authority.removesuffix(":" + _DEFAULT_PORTS[scheme])
    return f"{scheme}://{authority}{_ESCAPE.sub(_unescape, _without_dots(path) or '/')}{_ESCAPE.sub(_unescape, query)}"


def image_id(url: str) -> str:
    """Return the image's id: the first 32 hex digits of the SHA-256 of its normalised URL.

    Raises:
        ValueError: `url` is no absolute http or https URL.
    """
    return hashlib.sha256(normalise(url).encode()).hexdigest()[:32]


def feed_token(url: str) -> str:
    """Return a name for the feed at `url` that may stand in a subject or a key: 32 hex digits.

    Raises:
        ValueError: `url` is no absolute http or https URL.
    """
    return image_id(url)


def link_md5(link: str) -> str:
    """Return the MD5 hex of an article's link: the identity that the record's consumers know it by."""
    return hashlib.md5(link.encode(), usedforsecurity=False).hexdigest()


def host_of(url: str) -> str:
    """Return the lower-case host of an absolute http(s) URL, without user and port; empty where there is none."""
    match = _SPLIT.fullmatch(url)
    authority = match and _AUTHORITY.fullmatch(match.group(2))
    return authority.group(2).lower() if authority else ""


def clean_host(host: str) -> str:
    """Return the host as a URL names it: lower-case ASCII, an IPv6 address in brackets.

    Raises:
        ValueError: No host can be called so.
    """
    if not host.isascii():
        host = idna.encode(host, uts46=True).decode()  # idna.IDNAError is a ValueError
    host = host.lower()
    if not _HOST.fullmatch(host) or not _fits(host):
        raise ValueError("no host")
    if host.startswith("["):
        IPv6Address(host[1:-1])
    return host


def same_origin(one: str, other: str) -> bool:
    """Tell whether two normalised URLs have scheme, host and port in common (RFC 6454, section 5)."""
    return _origin(one) == _origin(other)


def without_user(url: str) -> str:
    """Return an absolute http(s) URL without user and password, for others to see."""
    return _USER.sub(r"\1", url)


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.rpartition("@")[2]


def _absolute(url: str, base: str) -> str:
    if "\\" in url:
        address = _BEFORE_QUERY.match(url)
        end = address.end() if address else 0
        url = url[:end].replace("\\", "/") + url[end:]
    if _SLASHES.match(url):
        return _SLASHES.sub(lambda match: match.group(1) + "://", url, count=1)
    if _SCHEME.match(url) or not base:
        raise ValueError("another scheme, or nothing to resolve against")
    return urljoin(base, url)


def _rebuild(url: str) -> str | None:
    match = _SPLIT.fullmatch(url)
    if not match:
        return None
    scheme, authority, path, query, fragment = match.groups(default="")
    return "".join(
        (
            scheme.lower(),
            "://",
            _clean_authority(authority),
            quote(path, safe=_PATH_SAFE),
            quote(query, safe=_QUERY_SAFE),
            quote(fragment, safe=_FRAGMENT_SAFE),
        )
    )


def _clean_authority(authority: str) -> str:
    match = _AUTHORITY.fullmatch(authority)
    if not match:
        raise ValueError("no authority")
    user, host, port = match.groups(default="")
    if port and int(port) > _MAX_PORT:
        raise ValueError("no port")
    return f"{quote(user, safe=_USER_SAFE) + '@' if user else ''}{clean_host(host)}{f':{int(port)}' if port else ''}"


def _fits(host: str) -> bool:
    """Return whether the DNS could know a host of such labels: none is empty or too long."""
    if ".." in host:
        return False
    if len(host) <= _MAX_LABEL:
        return True
    return len(host.removesuffix(".")) <= _MAX_HOST and all(len(label) <= _MAX_LABEL for label in host.split("."))


def _without_dots(path: str) -> str:
    """Remove dot segments (RFC 3986, section 5.2.4)."""
    if "/." not in path:
        return path
    segments: list[str] = []
    names = path.split("/")[1:]
    for name in names:
        if name == "..":
            del segments[-1:]
        elif name != ".":
            segments.append(name)
    if names[-1] in {".", ".."}:
        segments.append("")
    return "/" + "/".join(segments)


def _unescape(match: re.Match[str]) -> str:
    character = chr(int(match.group(1), 16))
    return character if character in _UNRESERVED else match.group().upper()
