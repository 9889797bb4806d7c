import numpy as np
import pytest

from services.transcoder.canvas import Box, Pixels, Touched, blank
from services.transcoder.delta import Cover, Delta, Region

WIDTH, HEIGHT = 320, 160
ALL = Touched(Box(0, 0, WIDTH, HEIGHT), None, None, clears=True)


@pytest.fixture
def canvas() -> Pixels:
    return blank(WIDTH, HEIGHT)


@pytest.fixture
def delta(canvas: Pixels) -> Delta:
    """Give a delta to which a grey canvas was sent."""
    delta = Delta(canvas, WIDTH, HEIGHT)
    channels(canvas)[:] = (100, 100, 100, 255)
    take(delta)
    return delta


def channels(canvas: Pixels) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return canvas.view(np.uint8).reshape(*canvas.shape, 4)


def take(delta: Delta, *, exactly: bool = False) -> Region:
    region = delta.take(ALL, exactly=exactly)
    assert region is not None
    return region


def test_the_first_frame_is_sent_whole(canvas: Pixels) -> None:
    channels(canvas)[:] = (1, 2, 3, 255)

    region = take(Delta(canvas, WIDTH, HEIGHT))

    assert (Box(0, 0, WIDTH, HEIGHT), Cover.ALL, False) == (region.box, region.cover, region.replaces)


def test_nothing_is_sent_of_what_nobody_sees(delta: Delta, canvas: Pixels) -> None:
    channels(canvas)[..., 0] = 105

    assert delta.take(ALL, exactly=False) is None


def test_all_is_sent_where_it_must_be_exact(delta: Delta, canvas: Pixels) -> None:
    channels(canvas)[33, 77, 0] = 101

    assert Box(76, 32, 78, 34) == take(delta, exactly=True).box


def test_small_differences_never_add_up(delta: Delta, canvas: Pixels) -> None:
    sent = 0
    for level in range(101, 160):
        channels(canvas)[..., :3] = level
        sent += delta.take(ALL, exactly=False) is not None

    assert sent == 59 // 6


def test_a_few_faint_pixels_of_a_tile_wait(delta: Delta, canvas: Pixels) -> None:
    channels(canvas)[40:45, 40, 0] = 112

    assert delta.take(ALL, exactly=False) is None


def test_one_strong_pixel_does_not_wait(delta: Delta, canvas: Pixels) -> None:
    channels(canvas)[40, 40, 0] = 125

    assert Box(40, 40, 41, 41) == take(delta).box


def test_distant_changes_are_sent_as_tiles_with_the_canvas_showing_between(delta: Delta, canvas: Pixels) -> None:
    channels(canvas)[0:16, 0:16] = (200, 0, 0, 255)
    channels(canvas)[144:160, 304:320] = (0, 200, 0, 255)

    region = take(delta)

    assert (Box(0, 0, WIDTH, HEIGHT), Cover.TILES) == (region.box, region.cover)
    assert region.tiles is not None
    assert [tuple(tile) for tile in np.argwhere(region.tiles)] == [(0, 0), (9, 19)]
    assert {(200, 0, 0, 255), (0, 200, 0, 255), (128, 128, 128, 0)} == {
        tuple(int(channel) for channel in pixel) for pixel in channels(region.pixels).reshape(-1, 4)
    }


def test_what_becomes_transparent_replaces_the_canvas(delta: Delta, canvas: Pixels) -> None:
    canvas[20:30, 41:50] = 0

    region = take(delta)

    assert (Box(40, 20, 50, 30), Cover.ALPHA, True) == (region.box, region.cover, region.replaces)


def test_a_tile_that_was_sent_is_not_sent_again(delta: Delta, canvas: Pixels) -> None:
    channels(canvas)[0:16, 0:16] = (200, 0, 0, 255)
    channels(canvas)[144:160, 304:320] = (0, 200, 0, 255)
    take(delta)

    assert delta.take(ALL, exactly=True) is None


def test_only_the_touched_part_is_looked_at(delta: Delta, canvas: Pixels) -> None:
    channels(canvas)[:] = (9, 9, 9, 255)

    region = delta.take(Touched(Box(64, 32, 96, 64), None, None, clears=False), exactly=True)

    assert region is not None
    assert Box(64, 32, 96, 64) == region.box
