"""A real Chromium for tests, and a watch over what a page does in it."""

import shutil
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from playwright.async_api import Browser, Page, async_playwright

LOOPBACK_ONLY = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"


@asynccontextmanager
async def launched() -> AsyncGenerator[Browser]:
    """A Chromium without a window: the system's, else the one that playwright has installed."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", LOOPBACK_ONLY]
        )
        yield browser
        await browser.close()


class Watch:
    """What a page did that it must not do."""

    def __init__(self, page: Page) -> None:
        self.complaints: list[str] = []
        page.on("console", lambda message: self._note(message.type, message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self._leave(request.url))

    def _note(self, kind: str, text: str) -> None:
        if kind in {"error", "warning"}:
            self.complaints.append(text)

    def _leave(self, url: str) -> None:
        if urlsplit(url).hostname not in {"127.0.0.1", None}:
            self.complaints.append(f"left for {url}")
