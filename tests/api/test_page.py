"""The page in a real Chromium: what goes wrong is said, and hostile articles run nothing."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, Route, expect

from services.standalone.broker import free_port
from shared.memory import MemoryBus
from tests.api.builders import polled
from tests.api.hostile import PROBE, VECTORS, hostile_events
from tests.api.running import Site, next_due, running_api

pytestmark = pytest.mark.browser

ARMED = 'a[href^="javascript" i], [onerror], [onload], [onclick]'


@pytest.fixture
async def running(memory_bus: MemoryBus, tmp_path: Path) -> AsyncIterator[Site]:
    """The api at an address that its own links lead to."""
    port = free_port()
    async with running_api(memory_bus, tmp_path, public_url=f"http://127.0.0.1:{port}", http_port=port) as site:
        yield site


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
    for _ in range(3):
        due = await next_due(running.bus)
        await running.say(polled(due.request_id or f"{due.feed:032x}_{due.feed}", feed=due.feed))
    await expect(page.get_by_text("3 feeds subscribed, 3 polled so far.")).to_be_visible(timeout=15_000)
    await page.close()


async def test_a_feed_is_polled_from_its_page_whatever_of_its_address_is_hidden(
    browser: Browser, running: Site
) -> None:
    url = running.running.api.settings.url
    feed = (await running.client.post("/api/feeds", json={"url": "http://a:b@site.example/feed.xml"})).json()
    page = await browser.new_page()
    await page.goto(f"{url}/feed/{feed['id']}")
    await page.get_by_role("button", name="Poll now").click()
    await page.wait_for_url(f"{url}/record/{feed['request_id']}")
    await expect(page.get_by_text("In progress.")).to_be_visible()
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
