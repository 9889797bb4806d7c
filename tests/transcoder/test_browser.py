"""What Chromium shows of our WebPs is what it shows of the GIFs they were made from."""

from base64 import b64decode, b64encode
from io import BytesIO
from itertools import accumulate

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.async_api import async_playwright

from services.transcoder.animate import animate
from services.transcoder.gif import parse
from services.transcoder.sources import GifSource
from tests.transcoder import gifs

PAGE = "https://localhost/"
CHROMIUM = "/usr/bin/chromium"
SEEDS = (0, 1, 4, 6, 8, 12, 14, 16, 17, 20, 21, 26, 28, 29, 33, 41, 46, 56)
FRAMES = """
async ([data, type]) => {
  const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0));
  const decoder = new ImageDecoder({data: bytes, type});
  await decoder.tracks.ready;
  await decoder.completed;
  const shown = [];
  for (let index = 0; index < decoder.tracks.selectedTrack.frameCount; index++) {
    const {image} = await decoder.decode({frameIndex: index});
    const canvas = new OffscreenCanvas(image.displayWidth, image.displayHeight);
    canvas.getContext('2d').drawImage(image, 0, 0);
    const blob = await canvas.convertToBlob({type: 'image/png'});
    const png = new Uint8Array(await blob.arrayBuffer());
    shown.push([image.timestamp / 1000, btoa(String.fromCharCode(...png))]);
  }
  return [shown, decoder.tracks.selectedTrack.repetitionCount];
}
"""

Shown = list[tuple[float, NDArray[np.uint8]]]


def at(shown: Shown, millisecond: float) -> NDArray[np.uint8]:
    return [picture for start, picture in shown if start <= millisecond][-1]


@pytest.mark.browser
async def test_chromium_shows_the_frames_of_the_gif_at_their_times() -> None:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = await browser.new_page()
        # Chromium decodes for scripts on secure pages alone.
        await page.route(PAGE, lambda route: route.fulfill(body="<title>frames</title>", content_type="text/html"))
        await page.goto(PAGE)

        async def play(data: bytes, kind: str) -> tuple[Shown, float]:
            frames, repetitions = await page.evaluate(FRAMES, [b64encode(data).decode(), kind])
            return [(start, picture(png)) for start, png in frames], repetitions

        for seed in SEEDS:
            data = gifs.nasty(seed)
            gif = parse(data)
            made = animate(GifSource(data, gif), 75, lossless=True, threads=2)
            expected, wanted = await play(data, "image/gif")
            shown, repetitions = await play(made.data, "image/webp")
            assert repetitions == wanted
            # For a GIF, Chromium tells the delays of the file rather than those at which it plays.
            starts = accumulate([0, *(frame.duration_ms for frame in gif.frames[:-1])])
            for start, (_, pixels) in zip(starts, expected, strict=True):
                np.testing.assert_array_equal(at(shown, start), pixels, f"seed {seed} at {start} ms")
        await browser.close()


def picture(png: str) -> NDArray[np.uint8]:
    pixels = np.array(Image.open(BytesIO(b64decode(png))).convert("RGBA"))
    pixels[pixels[..., 3] == 0] = 0
    return pixels
