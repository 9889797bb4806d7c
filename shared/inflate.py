"""Undo a Content-Encoding without ever holding more than is allowed: a small body may inflate a thousandfold."""

import zlib
from collections.abc import Callable
from typing import cast

import brotli  # pyright: ignore[reportMissingTypeStubs]
import zstandard

from shared.errors import Reject

ACCEPT_ENCODING = "gzip, br, zstd"
_SLICE = 256  # input bytes per step: even all-RLE zstd blocks then yield under 9 MB at a time
_FAULTS = (zlib.error, cast("type[Exception]", brotli.error), zstandard.ZstdError)
_ZSTD_WINDOW = 8 * 1024 * 1024  # bytes; what RFC 8878 recommends that decoders support


class TooLarge(Reject):
    """The body is larger than allowed."""


class BadEncoding(Reject):
    """The body is not what its Content-Encoding says."""


class Inflater:
    """Takes a body chunk by chunk and gives it back inflated.

    Args:
        encoding: The Content-Encoding header's value; empty for none.
        limit: Bytes of the inflated body at the most.
        name: What to call the body in errors: its URL.

    Raises:
        BadEncoding: The encoding is none that we asked for.
    """

    def __init__(self, encoding: str, limit: int, name: str) -> None:
        self._limit = limit
        self._name = name
        self._size = 0
        self._step = _decoder(encoding.strip().lower(), name)

    def feed(self, chunk: bytes) -> bytes:
        """Return what the chunk inflates to.

        Raises:
            TooLarge: The body is now over the limit.
            BadEncoding: The chunk cannot be inflated.
        """
        if self._step is None:
            self._count(len(chunk))
            return chunk
        out: list[bytes] = []
        for start in range(0, len(chunk), _SLICE):
            out.append(self._inflate(chunk[start : start + _SLICE]))
            self._count(len(out[-1]))
        return b"".join(out)

    def _inflate(self, piece: bytes) -> bytes:
        if self._step is None:
            return piece
        try:
            return self._step(piece)
        except _FAULTS as error:
            raise BadEncoding(f"{self._name}: the body is not what its Content-Encoding says: {error}") from error

    def _count(self, size: int) -> None:
        self._size += size
        if self._size > self._limit:
            raise TooLarge(f"{self._name} is larger than {self._limit // 1_000_000} MB")


def _decoder(encoding: str, name: str) -> Callable[[bytes], bytes] | None:
    if encoding in {"", "identity", "none"}:
        return None
    if encoding in {"gzip", "x-gzip"}:
        return _Gzip()
    if encoding == "deflate":
        return _Deflate()
    if encoding == "br":
        return cast("Callable[[bytes], bytes]", brotli.Decompressor().process)
    if encoding == "zstd":
        return zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW).decompressobj().decompress
    raise BadEncoding(f"{name}: unknown Content-Encoding {encoding!r}")


class _Gzip:
    """One or more gzip members (RFC 1952); what follows them is ignored, as browsers do."""

    def __init__(self) -> None:
        self._member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)

    def __call__(self, piece: bytes) -> bytes:
        out = b""
        while piece:
            if self._member.eof:
                if not piece.startswith(b"\x1f"):
                    return out
                self._member = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
            out += self._member.decompress(piece)
            piece = self._member.unused_data
        return out


class _Deflate:
    """The zlib format (RFC 1950) that HTTP means, or the bare one (RFC 1951) that some servers send."""

    def __init__(self) -> None:
        self._stream = zlib.decompressobj()
        self._first = True

    def __call__(self, piece: bytes) -> bytes:
        try:
            out = self._stream.decompress(piece)
        except zlib.error:
            if not self._first:
                raise
            self._stream = zlib.decompressobj(wbits=-zlib.MAX_WBITS)
            out = self._stream.decompress(piece)
        self._first = False
        return out
