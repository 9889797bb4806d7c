"""What its neighbours notice of a bomb: images rendered as the service does it, with and without bombs among them.

    python bench/bombs.py [--rounds 3] [--every 0.15]

An image arrives every so many seconds; in every other stretch a file that was made to take a decoder down arrives
with each second one. An image's time runs from its arrival to its rendition, waiting for a free slot included.
"""

import argparse
import asyncio
import os
import random
import statistics
import time
from io import BytesIO

import numpy as np
from PIL import Image

from services.transcoder.actor import sandbox
from services.transcoder.rendition import RenderOptions, Rendition
from services.transcoder.settings import TranscoderSettings
from shared.errors import Reject
from shared.sandbox import Sandbox
from tests.transcoder import bombs

NEIGHBOURS = 120  # images a stretch
SIDES = (1000, 700)


def picture(seed: int) -> bytes:
    """Return a PNG of soft shapes and some noise, as large as a screenshot is."""
    noise = np.random.default_rng(seed).integers(0, 255, (9, 12, 3), np.uint8)
    out = BytesIO()
    Image.fromarray(noise).resize(SIDES, Image.Resampling.BICUBIC).save(out, "PNG", compress_level=1)
    return out.getvalue()


async def seconds(renderer: Sandbox[Rendition], data: bytes) -> float:
    """Return how long one image takes."""
    start = time.perf_counter()
    await renderer.run(data, RenderOptions())
    return time.perf_counter() - start


async def throw(renderer: Sandbox[Rendition], bomb: bytes) -> tuple[float, str]:
    """Return how long a bomb takes, and how it ends: a reason, or nothing where there is a rendition."""
    start = time.perf_counter()
    try:
        await renderer.run(bomb, RenderOptions())
    except Reject as error:
        return time.perf_counter() - start, str(error)
    return time.perf_counter() - start, ""


async def stretch(
    renderer: Sandbox[Rendition], images: list[bytes], thrown: list[bytes], every: float
) -> tuple[list[float], list[tuple[float, str]]]:
    """Have the images arrive, and the bombs among them; return the images' seconds and how the bombs ended."""
    neighbours: list[asyncio.Task[float]] = []
    ends: list[asyncio.Task[tuple[float, str]]] = []
    left = iter(thrown)
    for number, image in enumerate(images):
        neighbours.append(asyncio.create_task(seconds(renderer, image)))
        if number % 2 and (bomb := next(left, None)):
            ends.append(asyncio.create_task(throw(renderer, bomb)))
        await asyncio.sleep(every)
    return list(await asyncio.gather(*neighbours)), list(await asyncio.gather(*ends))


async def measure(arguments: argparse.Namespace) -> None:
    """Print the figures of each round and their medians."""
    every_bomb = [it if isinstance(it, bytes) else it() for family in bombs.ALL for it in family().values()]
    images = [picture(seed) for seed in range(NEIGHBOURS)]
    renderer = sandbox(TranscoderSettings())
    await renderer.warm()
    ratios: list[float] = []
    for number in range(arguments.rounds):
        thrown = random.Random(number).sample(every_bomb, len(every_bomb))[: NEIGHBOURS // 2]  # noqa: S311 - no secret
        calm, _ = await stretch(renderer, images, [], arguments.every)
        near, ends = await stretch(renderer, images, thrown, arguments.every)
        ratios.append(statistics.mean(near) / statistics.mean(calm))
        refused = sum(bool(reason) for _, reason in ends)
        print(
            f"round {number + 1}: an image takes {1000 * statistics.mean(calm):.0f} ms (p95 {_p95(calm):.0f}), "
            f"beside bombs {1000 * statistics.mean(near):.0f} ms (p95 {_p95(near):.0f}), {ratios[-1]:.2f} times as "
            f"long; {len(ends)} bombs, {refused} refused, the longest {max(took for took, _ in ends):.1f} s"
        )
    await renderer.close()
    print(f"median {statistics.median(ratios):.2f} times on {len(os.sched_getaffinity(0))} CPUs (target 2)")


def _p95(times: list[float]) -> float:
    return 1000 * statistics.quantiles(times, n=20)[-1]


def main() -> None:
    """Run the benchmark."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--every", type=float, default=0.15, help="seconds between two images")
    asyncio.run(measure(parser.parse_args()))


if __name__ == "__main__":
    main()
