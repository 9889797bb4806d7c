"""What Chromium shows of our WebPs is what it shows of the GIFs they were made from."""

from base64 import b64decode, b64encode
from io import BytesIO
from itertools import accumulate

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.async_api import Browser

from services.transcoder.animate import animate
from services.transcoder.gif import parse
from services.transcoder.sources import GifSource
from tests.transcoder import gifs
from tests.transcoder.compositor import play

PAGE = "https://localhost/"
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

STRIP = """
async ([files, again]) => {
  // An image of the same address would go on where the one of the try before is.
  const source = (data, type) => `data:${type};try=${again};base64,${data}`;
  const images = files.map(([data, type]) => Object.assign(new Image(), {src: source(data, type)}));
  await Promise.all(images.map(image => image.decode()));
  document.body.style.cssText = 'margin: 0; display: flex; flex-wrap: wrap; background: white';
  const cell = 'width: 80px; height: 60px; object-fit: none; object-position: 0 0';
  images.forEach(image => { image.style.cssText = cell; });
  document.body.replaceChildren(...images);
  await new Promise(requestAnimationFrame);
  await new Promise(requestAnimationFrame);
  return performance.now();
}
"""
NOW = "performance.now()"
CONTROL = b"!\xf9\x04"  # how a GIF's control extension begins
TRIES = 8
CELL = (80, 60)  # pixels
FRAME_MS = 800  # long enough to tell when a screenshot was taken

Shown = list[tuple[float, NDArray[np.uint8]]]


def at(shown: Shown, millisecond: float) -> NDArray[np.uint8]:
    return [picture for start, picture in shown if start <= millisecond][-1]


@pytest.mark.browser
async def test_chromium_shows_the_frames_of_the_gif_at_their_times(browser: Browser) -> None:
    page = await browser.new_page()
    # Chromium decodes for scripts on secure pages alone.
    await page.route(PAGE, lambda route: route.fulfill(body="<title>frames</title>", content_type="text/html"))
    await page.goto(PAGE)

    async def decoded(data: bytes, kind: str) -> tuple[Shown, float]:
        frames, repetitions = await page.evaluate(FRAMES, [b64encode(data).decode(), kind])
        return [(start, picture(png)) for start, png in frames], repetitions

    for seed in SEEDS:
        data = gifs.nasty(seed)
        gif = parse(data)
        made = animate(GifSource(data, gif), 75, lossless=True, threads=2)
        expected, wanted = await decoded(data, "image/gif")
        shown, repetitions = await decoded(made.data, "image/webp")
        assert repetitions == wanted
        # For a GIF, Chromium tells the delays of the file rather than those at which it plays.
        starts = accumulate([0, *(frame.duration_ms for frame in gif.frames[:-1])])
        for start, (_, pixels) in zip(starts, expected, strict=True):
            np.testing.assert_array_equal(at(shown, start), pixels, f"seed {seed} at {start} ms")
    await page.close()


@pytest.mark.browser
async def test_screenshots_of_gif_and_webp_are_the_compositors_frames_at_known_times(browser: Browser) -> None:
    files = [data for data in map(slowly, map(gifs.nasty, range(80))) if data]
    frames = [play(data) for data in files]
    strip: list[list[str]] = []
    for data in files:
        made = animate(GifSource(data, parse(data)), 75, lossless=True, threads=2)
        strip += [[b64encode(data).decode(), "image/gif"], [b64encode(made.data).decode(), "image/webp"]]
    missing = dict.fromkeys(range(3), "no screenshot in time")
    page = await browser.new_page(viewport={"width": 8 * CELL[0], "height": -(-len(strip) // 8) * CELL[1]})
    for again in range(TRIES):
        begun = await page.evaluate(STRIP, [strip, again])
        for number in range(3):
            await page.wait_for_timeout((number + 0.5) * FRAME_MS - (await page.evaluate(NOW) - begun))
            before = await page.evaluate(NOW) - begun
            shot = rgb(await page.screenshot())
            after = await page.evaluate(NOW) - begun
            if before < (number + 0.2) * FRAME_MS or after > (number + 0.8) * FRAME_MS:
                continue  # a busy machine: nobody knows what it must show
            wrong = [
                f"{strip[place][1]} {place // 2}"
                for place in range(len(strip))
                if not np.array_equal(cell(shot, place), on_white(frames[place // 2][number][0]))
            ]
            if not wrong:
                missing.pop(number, None)
            elif number in missing:  # unless another try shows that the animations only began late in this one
                missing[number] = f"not the compositor's: {', '.join(wrong)}"
        if not missing:
            break
    await page.close()

    assert len(files) >= 8
    assert not missing, f"of frames by number, in {TRIES} tries: {missing}"


def slowly(data: bytes) -> bytes | None:
    """Give each frame its time; None for a file that does not say how long, or is too large or short to look at."""
    head, *rest = data.split(CONTROL)
    slow = CONTROL.join([head, *(part[:1] + (FRAME_MS // 10).to_bytes(2, "little") + part[3:] for part in rest)])
    gif = parse(slow)
    fits = gif.width <= CELL[0] and gif.height <= CELL[1] and len(gif.frames) >= 3
    return slow if fits and all(frame.duration_ms == FRAME_MS for frame in gif.frames) else None


def cell(shot: NDArray[np.uint8], number: int) -> NDArray[np.uint8]:
    row, column = divmod(number, 8)
    return shot[row * CELL[1] : (row + 1) * CELL[1], column * CELL[0] : (column + 1) * CELL[0]]


def on_white(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    shown = np.full((CELL[1], CELL[0], 3), 255, np.uint8)
    opaque = pixels[..., 3] == 255
    shown[: opaque.shape[0], : opaque.shape[1]][opaque] = pixels[..., :3][opaque]
    return shown


def rgb(png: bytes) -> NDArray[np.uint8]:
    return np.array(Image.open(BytesIO(png)).convert("RGB"))


def picture(png: str) -> NDArray[np.uint8]:
    pixels = np.array(Image.open(BytesIO(b64decode(png))).convert("RGBA"))
    pixels[pixels[..., 3] == 0] = 0
    return pixels
