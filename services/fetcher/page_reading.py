"""What the child that reads web pages runs; the service itself only names it."""

from services.fetcher import parsing  # loads what the child can no longer load
from services.fetcher.pages import Page, read_page
from services.fetcher.text import decode

__all__ = ["parsing", "read"]


def read(body: bytes, url: str, content_type: str | None) -> Page:
    """Return what the head of the page says."""
    return read_page(decode(body, content_type), url)
