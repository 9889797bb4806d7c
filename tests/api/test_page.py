"""The page in a real Chromium: a feed added, watched, read, an image retried; hostile articles run nothing."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.async_api import Browser, Page, Route, async_playwright, expect

from services.standalone.broker import free_port
from shared.bus import Bus
from shared.memory import MemoryBus
from shared.topology import ACCOUNTS
from tests.api.builders import polled
from tests.api.hostile import PROBE, VECTORS, hostile_events
from tests.api.newsroom import running_site, staff
from tests.api.running import Site, running_api

pytestmark = pytest.mark.browser

SIZES = [(1280, 900), (390, 844)]
ARMED = 'a[href^="javascript" i], [onerror], [onload], [onclick]'
LOOPBACK_ONLY = "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"
SCREENSHOTS = Path(os.environ["HALFTONE_SCREENSHOTS"]) if "HALFTONE_SCREENSHOTS" in os.environ else None


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """A Chromium without a window: the system's, else the one that playwright has installed."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu", LOOPBACK_ONLY]
        )
        yield launched
        await launched.close()


@pytest.fixture
def gazette(tmp_path: Path) -> Iterator[str]:
    """The address of the site whose feed is added."""
    with running_site(tmp_path / "site") as address:
        yield address


@pytest.fixture
async def running(memory_bus: MemoryBus, tmp_path: Path, gazette: str) -> AsyncIterator[Site]:
    """The api at an address that its own links lead to."""
    port = free_port()
    url, allowed = f"http://127.0.0.1:{port}", urlsplit(gazette).netloc
    async with running_api(memory_bus, tmp_path, public_url=url, http_port=port, allow_hosts=allowed) as site:
        yield site


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


async def shoot(page: Page, name: str, width: int) -> None:
    if SCREENSHOTS:
        await page.screenshot(path=SCREENSHOTS / f"{name}-{width}.png")


@pytest.mark.parametrize("size", SIZES)
async def test_a_feed_is_added_watched_read_and_its_failed_image_retried(
    browser: Browser, running: Site, gazette: str, tmp_path: Path, size: tuple[int, int]
) -> None:
    width, height = size
    url = running.running.api.settings.url
    page = await browser.new_page(viewport={"width": width, "height": height})
    watch = Watch(page)
    await remember_account(running.bus)
    async with staff(running.bus, gazette, url, tmp_path, pace=0.15):
        await page.goto(url)
        await expect(page.get_by_text("No feed yet")).to_be_visible()
        await shoot(page, "empty", width)
        await page.get_by_label("Feed or site address").fill(f"{gazette}/feed.xml")
        await page.get_by_role("button", name="Add feed").click()
        await page.wait_for_url("**/record/*")
        await expect(page.get_by_text("7 of 8")).to_be_visible(timeout=20_000)
        await expect(page.get_by_role("heading", name="The Tidewater Gazette")).to_be_visible()
        await assert_no_sideways_scroll(page)
        await shoot(page, "record", width)
        await page.get_by_role("heading", name="Images").scroll_into_view_if_needed()
        await page.locator("ol.fall").evaluate("list => list.scrollIntoView()")
        await page.wait_for_timeout(300)
        await shoot(page, "waterfall", width)
        await page.get_by_role("button", name="Retry", exact=True).click()
        await expect(page.get_by_text("8 of 8")).to_be_visible(timeout=20_000)
        await page.get_by_role("link", name="How a newspaper prints a photograph").click()
        await assert_images_load(page, url, 4)
        await page.evaluate("scrollTo(0, 0)")
        await shoot(page, "article", width)
        await page.get_by_role("link", name="Source").click()
        await expect(page.locator(".body img").first).to_have_attribute("src", f"{gazette}/press.png")
        for path, heading in (
            ("/", "Every picture"),
            ("/articles", "Articles"),
            ("/feed/1", "The Tidewater Gazette"),
            ("/accounts", "Storage accounts"),
            ("/add", "Add feeds"),
        ):
            await page.goto(url + path)
            await expect(page.get_by_role("heading", name=heading).first).to_be_visible()
            await assert_no_sideways_scroll(page)
            await page.wait_for_timeout(150)
            await shoot(page, path.strip("/").replace("/1", "") or "overview", width)
    await page.close()

    assert watch.complaints == []


async def remember_account(bus: Bus) -> None:
    await bus.bucket(ACCOUNTS).put("local-1", b'{"objects":7,"bytes":412345}')


async def assert_no_sideways_scroll(page: Page) -> None:
    wide = await page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
    assert wide <= 0, f"{page.url} is {wide} pixels too wide"


async def assert_images_load(page: Page, url: str, count: int) -> None:
    images = page.locator(".body img")
    await expect(images).to_have_count(count)
    for number in range(count):
        image = images.nth(number)
        await image.scroll_into_view_if_needed()
        await expect(image).to_have_js_property("complete", value=True)
        assert await image.evaluate("image => image.naturalWidth") > 0
        assert str(await image.get_attribute("src")).startswith(f"{url}/img/")


async def test_an_import_shows_how_far_it_is(browser: Browser, running: Site, tmp_path: Path) -> None:
    url = running.running.api.settings.url
    page = await browser.new_page()
    outlines = "".join(f'<outline text="{n}" xmlUrl="http://site.example/{n}.xml"/>' for n in range(3))
    file = tmp_path / "mine.opml"
    file.write_text(f'<opml version="2.0"><body>{outlines}<outline xmlUrl="ftp://x"/></body></opml>', encoding="utf-8")
    await page.goto(f"{url}/add")
    await page.get_by_label("OPML file").set_input_files(file)
    await page.get_by_role("button", name="Import").click()
    await expect(page.get_by_text("3 feeds subscribed, 0 polled so far. 1 could not be used")).to_be_visible()
    async with staff(running.bus, "http://site.example", url, tmp_path):
        await expect(page.get_by_text("3 feeds subscribed, 3 polled so far.")).to_be_visible(timeout=15_000)
    await page.close()


async def test_what_cannot_be_added_is_said_where_it_was_typed(browser: Browser, running: Site) -> None:
    page = await browser.new_page()
    await page.goto(f"{running.running.api.settings.url}/add")
    await page.get_by_label("Feed or site address").fill("nonsense")
    await page.get_by_role("button", name="Add feed").click()
    await expect(page.get_by_text("give the feed's whole address")).to_be_visible()
    await page.close()


async def test_a_record_completed_before_the_page_listens_is_shown(browser: Browser, running: Site) -> None:
    page = await browser.new_page()

    async def fail_first(route: Route) -> None:
        await running.say(polled(request_id, feed=1, asked=True, ok=False, error="no such host"))
        await running.record(request_id)
        await route.continue_()

    asked = await running.client.post("/api/fetches", json={"url": "http://site.example/feed.xml"})
    request_id = asked.json()["requestId"]
    await page.route("**/api/events", fail_first)
    await page.goto(f"{running.running.api.settings.url}/record/{request_id}")
    await expect(page.get_by_text("no such host").first).to_be_visible()
    await expect(page.get_by_text("In progress.")).to_have_count(0)
    await page.close()


async def test_hostile_articles_run_nothing_even_without_the_policy(browser: Browser, running: Site) -> None:
    url = running.running.api.settings.url
    context = await browser.new_context(bypass_csp=True)
    await context.add_init_script(PROBE)
    page = await context.new_page()
    fired = 0
    await running.say(*hostile_events())
    await running.record(f"{'e' * 32}_1")
    addresses = ["/", "/articles", f"/record/{'e' * 32}_1"]
    lines = (await running.client.get("/api/articles", params={"limit": 500})).json()["articles"]
    for address in [*addresses, *(f"/article/{line['link_md5']}" for line in lines)]:
        await page.goto(url + address, wait_until="domcontentloaded")
        await asyncio.sleep(0.03)
        ran, armed = await page.evaluate(f"[window.fired, document.querySelectorAll('{ARMED}').length]")
        fired += ran
        assert armed == 0, address

    assert 4 * len(lines) >= 200
    assert fired == 0
    await context.close()


async def test_the_hostile_articles_do_run_where_nothing_is_sanitised(browser: Browser) -> None:
    page = await browser.new_page()
    await page.add_init_script(PROBE)
    fired = 0
    for vector in VECTORS:
        await page.evaluate(f"() => {{ {PROBE} }}")
        await page.set_content(f"<!doctype html><body>{vector}", wait_until="domcontentloaded")
        await asyncio.sleep(0.03)
        fired += bool(await page.evaluate("window.fired"))
    await page.close()

    assert fired >= 20, f"{fired} of {len(VECTORS)}"
