"""Without loss, every frame is what an independent compositor shows, at its time."""

from itertools import accumulate

import numpy as np
import pytest

from services.transcoder.animate import animate
from services.transcoder.gif import parse
from services.transcoder.sources import GifSource
from tests.transcoder import compositor, gifs, player


@pytest.mark.parametrize("seed", range(100))
def test_a_nasty_gif_plays_as_the_specification_says(seed: int) -> None:
    data = gifs.nasty(seed)
    expected = compositor.play(data)

    film = animate(GifSource(data, parse(data)), 75, lossless=True, threads=2)

    ends = list(accumulate(duration for _, duration in expected))
    assert ends[-1] == film.duration_ms
    assert ends[-1] == sum(duration for _, duration in player.play(film.data))
    for (picture, _), shown in zip(expected, player.at_times(film.data, ends), strict=True):
        np.testing.assert_array_equal(picture, shown)


def test_large_frames_with_few_painted_pixels_play_as_the_specification_says() -> None:
    first = gifs.Frame(200, 90, bytes(range(180)) * 100)
    sparse = bytearray(b"\xff" * (200 * 90))
    sparse[4321:4345] = bytes(range(24))
    second = gifs.Frame(200, 90, bytes(sparse), transparent=255)
    offset = gifs.Frame(180, 70, bytes(sparse[: 180 * 70]), left=20, top=20, transparent=255, disposal=2)
    data = gifs.gif(200, 90, [first, second, offset, second], bytes(range(256)) * 3)
    expected = compositor.play(data)

    film = animate(GifSource(data, parse(data)), 75, lossless=True, threads=1)

    ends = list(accumulate(duration for _, duration in expected))
    for (picture, _), shown in zip(expected, player.at_times(film.data, ends), strict=True):
        np.testing.assert_array_equal(picture, shown)
