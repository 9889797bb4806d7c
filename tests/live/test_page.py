"""The page of the running system in a real Chromium: a feed added, watched, read, its failed image retried."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.chromium import Watch
from tests.live import gazette
from tests.live.commands import free_port, running, until
from tests.servers import Site

pytestmark = [pytest.mark.live, pytest.mark.browser]

SIZES = [(1280, 900), (390, 844)]
SCREENSHOTS = Path(os.environ["HALFTONE_SCREENSHOTS"]) if "HALFTONE_SCREENSHOTS" in os.environ else None


async def shoot(page: Page, name: str, width: int) -> None:
    """Keep what is on the page, where that is wanted."""
    if SCREENSHOTS:
        await page.screenshot(path=SCREENSHOTS / f"{name}-{width}.png")


@pytest.mark.parametrize("size", SIZES)
async def test_a_feed_is_added_watched_read_and_its_failed_image_retried(
    browser: Browser, site: Site, tmp_path: Path, size: tuple[int, int]
) -> None:
    gazette.publish(site)
    width, height = size
    port = free_port()
    allowed = ("--allow-host", f"127.0.0.1:{site.port}")
    page = await browser.new_page(viewport={"width": width, "height": height})
    watch = Watch(page)
    with running("up", "--port", str(port), *allowed, data=tmp_path, public_port=port) as up:
        until(lambda: up.process.stderr and "Halftone is up" in up.process.stderr.readline())
        url = f"http://127.0.0.1:{port}"
        await page.goto(url)
        await expect(page.get_by_text("No feed yet")).to_be_visible()
        await shoot(page, "empty", width)
        await page.get_by_label("Feed or site address").fill(site.url(gazette.FEED))
        await page.get_by_role("button", name="Add feed").click()
        await page.wait_for_url("**/record/*")
        await expect(page.get_by_text("7 of 8")).to_be_visible(timeout=20_000)
        await expect(page.get_by_role("heading", name=gazette.TITLE)).to_be_visible()
        await assert_no_sideways_scroll(page)
        await shoot(page, "record", width)
        await page.get_by_role("heading", name="Images").scroll_into_view_if_needed()
        await page.locator("ol.fall").evaluate("list => list.scrollIntoView()")
        await page.wait_for_timeout(300)
        await shoot(page, "waterfall", width)
        gazette.print_again(site)
        await page.get_by_role("button", name="Retry", exact=True).click()
        await expect(page.get_by_text("8 of 8")).to_be_visible(timeout=20_000)
        await page.get_by_role("link", name="How a newspaper prints a photograph").click()
        await assert_images_load(page, url, 4)
        await page.evaluate("scrollTo(0, 0)")
        await shoot(page, "article", width)
        await page.get_by_role("link", name="Source").click()
        await expect(page.locator(".body img").first).to_have_attribute("src", site.url("/press.png"))
        for path, heading in (
            ("/", "Every picture"),
            ("/articles", "Articles"),
            ("/feed/1", gazette.TITLE),
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
