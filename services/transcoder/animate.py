"""Turn an animation into an animated WebP by sending, for each frame, only what a viewer has not seen yet.

Frames are decoded and regions encoded in threads, a few at a time; the canvas in between is one.
"""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import msgspec

from services.transcoder import encode, lzw
from services.transcoder.canvas import Paint, Touched
from services.transcoder.composite import Screen
from services.transcoder.delta import Delta, Region
from services.transcoder.gif import Gif
from services.transcoder.webp import MOST_MS_A_FRAME, Patch, animation

AHEAD = 2
"""Frames per thread that may wait, decoded or to be encoded."""


class Film(msgspec.Struct, frozen=True):
    """An animated WebP file and whether each of its frames is exact."""

    data: bytes
    lossless: bool


def gif_steps(
    data: bytes, gif: Gif, screen: Screen, pool: ThreadPoolExecutor, ahead: int
) -> Iterator[tuple[Touched, int]]:
    """Bring a screen from frame to frame; give the rectangle that changed and the frame's milliseconds."""
    stride = screen.pixels.shape[1]
    coming: deque[Future[Paint]] = deque()
    frames = iter(gif.frames)
    for frame in gif.frames:
        while len(coming) < ahead and (following := next(frames, None)):
            coming.append(pool.submit(lzw.paint, data, following, gif.width, stride, gif.height))
        yield screen.draw(coming.popleft().result(), frame.disposal), frame.duration_ms


def animate_gif(data: bytes, gif: Gif, quality: int, lossless: bool, threads: int) -> Film:
    """Encode a GIF."""
    screen = Screen(gif.width, gif.height)
    with ThreadPoolExecutor(threads) as pool:
        steps = gif_steps(data, gif, screen, pool, threads * AHEAD)
        delta = Delta(screen.pixels, gif.width, gif.height, lossless)
        reel = _Reel(pool, quality, lossless, threads * AHEAD)
        for touched, duration in steps:
            reel.add(delta.take(touched), duration)
        return Film(animation(gif.width, gif.height, gif.plays, True, reel.finish()), lossless)


class _Reel:
    """Collects regions, encodes them in threads, and holds each back until its duration is known."""

    def __init__(self, pool: ThreadPoolExecutor, quality: int, lossless: bool, ahead: int) -> None:
        self._pool = pool
        self._quality = quality
        self._lossless = lossless
        self._ahead = ahead
        self._encoding: deque[tuple[Region, int, Future[bytes]]] = deque()
        self._done: list[bytes] = []

    def add(self, region: Region | None, duration_ms: int) -> None:
        if region is None:
            self._extend(duration_ms)
            return
        if self._lossless:
            future = self._pool.submit(encode.lossless, region)
        else:
            future = self._pool.submit(encode.lossy, region, self._quality)
        self._encoding.append((region, duration_ms, future))
        if len(self._encoding) > self._ahead:
            self._write()

    def finish(self) -> list[bytes]:
        while self._encoding:
            self._write()
        return self._done

    def _extend(self, duration_ms: int) -> None:
        region, before, future = self._encoding.pop()
        self._encoding.append((region, min(before + duration_ms, MOST_MS_A_FRAME), future))

    def _write(self) -> None:
        region, duration, future = self._encoding.popleft()
        left, top, right, bottom = region.box
        self._done.append(
            bytes(Patch(left, top, right - left, bottom - top, duration, region.replaces, future.result()))
        )
