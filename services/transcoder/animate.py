"""Turn an animation into an animated WebP by sending, for each frame, only what a viewer has not seen yet.

Frames are decoded and regions encoded in threads, a few at a time; the canvas in between is one.
"""

from collections import deque
from concurrent.futures import Executor, Future, ThreadPoolExecutor

import msgspec

from services.transcoder import encode
from services.transcoder.canvas import Box
from services.transcoder.delta import Delta, Region
from services.transcoder.rendition import Unrenderable
from services.transcoder.sources import Source
from services.transcoder.webp import MOST_MS_A_FRAME, Patch, animation

FEW_COLOURS = 128
"""With at most so many in a sample of it, a region may well be smaller without loss."""
SAMPLE = 2048
MOST_PIXELS_TRIED = 2_500_000
SMALL = 16_384
"""Up to so many pixels, both ways are always tried."""


class Film(msgspec.Struct, frozen=True):
    """An animated WebP file, its frames' count and milliseconds, and whether all pixels of all frames are exact."""

    data: bytes
    frames: int
    duration_ms: int
    lossless: bool


def animate(source: Source, quality: int, lossless: bool, threads: int) -> Film:
    """Encode an animation.

    Raises:
        Unrenderable: It has no frame that can be decoded.
    """
    frames = duration = 0
    with ThreadPoolExecutor(threads) as pool:
        choice = _Choice(quality, lossless)
        reel = _Reel(pool, choice, 2 * (threads + 1))
        delta = Delta(source.pixels, source.width, source.height)
        for touched, shown_ms in source.play(pool, threads + 1):
            reel.add(delta.take(touched, exactly=choice.lossless or not frames), shown_ms)
            frames += 1
            duration += shown_ms
        patches = reel.finish()
    if not frames:
        raise Unrenderable("none of its frames can be decoded")
    data = animation(source.width, source.height, source.plays, not delta.always_opaque, patches)
    return Film(data, frames, duration, choice.exact)


class _Choice:
    """Chooses between lossy and lossless: a film that begins smaller without loss goes on so while colours are few."""

    def __init__(self, quality: int, lossless: bool) -> None:
        self._quality = quality
        self._always = lossless
        self._begun = lossless
        self.lossless = lossless
        self.exact = True

    def start(self, region: Region, pool: Executor) -> Future[encode.Encoded]:
        """Have the next region encoded; the first one at once where it decides how to go on."""
        few = self._always or _few_colours(region)
        if few and not self._begun:
            return self._begin(region, pool)
        self._begun = True
        self.lossless = self.lossless and few
        if self.lossless:
            return pool.submit(encode.lossless, region)
        if few and region.pixels.size <= SMALL:
            return pool.submit(encode.smaller, region, self._quality)
        return pool.submit(encode.lossy, region, self._quality)

    def note(self, encoded: encode.Encoded) -> None:
        """Note whether all is exact so far."""
        self.exact = self.exact and encoded.lossless

    def _begin(self, region: Region, pool: Executor) -> Future[encode.Encoded]:
        """Encode both ways, and go on as is smaller."""
        exact = pool.submit(encode.lossless, region)
        seen = encode.lossy(region, self._quality)
        self._begun = True
        self.lossless = len(exact.result().chunks) <= len(seen.chunks)
        if self.lossless:
            return exact
        given: Future[encode.Encoded] = Future()
        given.set_result(seen)
        return given


class _Reel:
    """Has regions encoded in threads, and holds each back until its duration is known."""

    def __init__(self, pool: Executor, choice: _Choice, waiting: int) -> None:
        self._pool = pool
        self._choice = choice
        self._waiting = waiting
        self._encoding: deque[tuple[Patch, Future[encode.Encoded]]] = deque()
        self._done: list[bytes] = []

    def add(self, region: Region | None, duration_ms: int) -> None:
        """Take what to send of a frame; None shows what there is for longer."""
        if region is None:
            if not self._extend(duration_ms):
                self._encoding.append((_patch(Box(0, 0, 1, 1), duration_ms), self._pool.submit(encode.nothing)))
        else:
            future = self._choice.start(region, self._pool)
            self._encoding.append((_patch(region.box, duration_ms, replaces=region.replaces), future))
        if len(self._encoding) > self._waiting:
            self._write()

    def finish(self) -> list[bytes]:
        """Give the ANMF chunks of all frames."""
        while self._encoding:
            self._write()
        return self._done

    def _extend(self, duration_ms: int) -> bool:
        """Show the latest patch for longer, as far as a duration's 24 bits reach."""
        if not self._encoding or self._encoding[-1][0].duration_ms + duration_ms > MOST_MS_A_FRAME:
            return False
        patch, future = self._encoding.pop()
        longer = msgspec.structs.replace(patch, duration_ms=patch.duration_ms + duration_ms)
        self._encoding.append((longer, future))
        return True

    def _write(self) -> None:
        patch, future = self._encoding.popleft()
        encoded = future.result()
        self._choice.note(encoded)
        self._done.append(bytes(msgspec.structs.replace(patch, chunks=encoded.chunks)))


def _patch(box: Box, duration_ms: int, replaces: bool = False) -> Patch:
    """Give a frame whose bitstream is still being made."""
    left, top, right, bottom = box
    return Patch(left, top, right - left, bottom - top, duration_ms, replaces, b"")


def _few_colours(region: Region) -> bool:
    """Tell by a sample whether a region may well be smaller without loss, and by its size whether to find out."""
    if region.pixels.size > MOST_PIXELS_TRIED:
        return False
    every = max(1, region.pixels.size // SAMPLE)
    return len(set(region.pixels.ravel()[::every].tolist())) <= FEW_COLOURS
