from io import BytesIO
from itertools import accumulate
from struct import unpack_from

import numpy as np
import pytest
from PIL import Image

from services.transcoder import RenderOptions, Unrenderable, transcode
from services.transcoder.webp import chunks
from tests.transcoder import compositor, player
from tests.transcoder.gifs import Frame, gif

GREY = bytes(value for level in range(256) for value in (level, level, level))


def noise(seed: int, width: int = 200, height: int = 120) -> bytes:
    """Give indices that lossy WebP likes better than lossless: a smooth picture with a grain."""
    rows, columns = np.mgrid[:height, :width]
    smooth = 127 + 60 * np.sin(rows / 9) + 40 * np.cos(columns / 7)
    grain = np.random.default_rng(seed).normal(0, 9, (height, width))
    return bytes((smooth + grain).clip(0, 255).astype(np.uint8).tobytes())


def durations(data: bytes) -> list[int]:
    return [int.from_bytes(content[12:15], "little") for name, content in chunks(data) if name == b"ANMF"]


def flags(data: bytes) -> int:
    return next(content[0] for name, content in chunks(data) if name == b"VP8X")


def test_a_frame_that_changes_nothing_lengthens_the_one_before() -> None:
    still = Frame(200, 120, noise(1), delay=7)
    moved = Frame(200, 120, noise(2), delay=9)

    made = transcode(gif(200, 120, [still, still, moved, moved, moved], GREY))

    assert durations(made.data) == [140, 270]
    assert (made.frames, made.duration_ms) == (5, 410)


def test_a_duration_beyond_24_bits_is_split() -> None:
    still = Frame(40, 40, noise(1, 40, 40), delay=65_535)

    made = transcode(gif(40, 40, [still] * 30, GREY))

    assert 30 * 655_350 == sum(durations(made.data)) == made.duration_ms
    assert max(durations(made.data)) < 2**24


def test_a_first_frame_that_shows_nothing_has_its_time() -> None:
    nothing = Frame(200, 120, bytes(200 * 120), transparent=0, delay=30)
    made = transcode(gif(200, 120, [nothing, Frame(200, 120, noise(1), delay=20)], GREY))

    shown = list(player.play(made.data))

    assert [duration for _, duration in shown] == [300, 200]
    assert not shown[0][0].any()


@pytest.mark.parametrize(("left", "alpha"), [(0, 0), (2, 0x10)])
def test_alpha_is_announced_where_the_first_frame_does_not_cover_the_canvas(left: int, alpha: int) -> None:
    first = Frame(200 - left, 120, noise(1, 200 - left), left=left)

    made = transcode(gif(200, 120, [first, Frame(200 - left, 120, noise(2, 200 - left), left=left)], GREY))

    assert alpha == flags(made.data) & 0x10


@pytest.mark.parametrize(("loop", "plays"), [(None, 1), (0, 0), (4, 5)])
def test_it_plays_as_often_as_the_gif(loop: int | None, plays: int) -> None:
    made = transcode(gif(200, 120, [Frame(200, 120, noise(1)), Frame(200, 120, noise(2))], GREY, loop))

    assert (plays,) == unpack_from("<H", dict(chunks(made.data))[b"ANIM"], 4)


def test_a_plot_is_sent_without_loss_as_that_is_smaller() -> None:
    pictures = [np.full((120, 200), 255, np.uint8) for _ in range(6)]
    for step, picture in enumerate(pictures):
        picture[60, : 30 * step + 10] = 0
        picture[20:40:3, 100:140] = 80
    data = gif(200, 120, [Frame(200, 120, picture.tobytes()) for picture in pictures], GREY)

    made = transcode(data)

    assert (made.lossless, made.quality) == (True, 100)
    expected = compositor.play(data)
    ends = list(accumulate(duration for _, duration in expected))
    for (picture, _), shown in zip(expected, player.at_times(made.data, ends), strict=True):
        np.testing.assert_array_equal(picture, shown)


def test_lossy_frames_stay_near_the_source_for_ever() -> None:
    dice = np.random.default_rng(7)
    base = np.frombuffer(noise(1), np.uint8).reshape(120, 200).astype(np.int16)
    frames: list[Frame] = []
    for step in range(25):
        base[:, step * 8 : step * 8 + 8] += 40
        flicker = base + dice.integers(-2, 3, base.shape)
        frames.append(Frame(200, 120, flicker.clip(0, 255).astype(np.uint8).tobytes()))
    data = gif(200, 120, frames, GREY)

    made = transcode(data)

    expected = compositor.play(data)
    ends = list(accumulate(duration for _, duration in expected))
    errors = [
        np.square(picture.astype(np.int32) - shown).mean()
        for (picture, _), shown in zip(expected, player.at_times(made.data, ends), strict=True)
    ]
    assert max(errors) < 40
    assert not made.lossless


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_other_animations_play_as_pillow_plays_them(kind: str) -> None:
    pages = [Image.frombytes("L", (200, 120), noise(seed)).convert("RGB") for seed in range(4)]
    out = BytesIO()
    pages[0].save(out, kind, save_all=True, append_images=pages[1:], duration=[100, 40, 200, 0], quality=95)

    made = transcode(out.getvalue(), RenderOptions(budget=10**6, quality=90))

    assert (made.content_type, made.frames, made.duration_ms) == ("image/webp", 4, 440)
    shown = [picture for picture, _ in player.play(made.data)]
    for page, picture in zip(pages, shown, strict=True):
        assert np.abs(np.asarray(page).astype(int) - picture[..., :3]).mean() < 8


def test_translucent_animations_keep_their_alpha() -> None:
    pages: list[Image.Image] = []
    for level in (255, 128, 0, 60):
        page = Image.frombytes("L", (200, 120), noise(level)).convert("RGBA")
        page.paste((10, 200, 30, level), (20, 20, 90, 90))
        pages.append(page)
    out = BytesIO()
    pages[0].save(out, "PNG", save_all=True, append_images=pages[1:], duration=50, disposal=0, blend=0)

    made = transcode(out.getvalue())

    assert [int(picture[50, 50, 3]) for picture, _ in player.play(made.data)] == [255, 128, 0, 60]


def test_an_animation_is_scaled_down_to_a_width() -> None:
    data = gif(200, 120, [Frame(200, 120, noise(1)), Frame(200, 120, noise(2))], GREY)

    made = transcode(data, RenderOptions(max_width=101))

    assert (made.width, made.height, made.frames) == (101, 61, 2)
    assert [picture.shape for picture, _ in player.play(made.data)] == [(61, 101, 4)] * 2
    assert made.notes == ("scaled from 200 to 101 pixels in width",)


def test_a_gif_whose_canvas_is_too_large_is_refused() -> None:
    with pytest.raises(Unrenderable, match="its canvas has 6000 x 6000 pixels"):
        transcode(gif(6000, 6000, [Frame(1, 1, b"\0")], GREY))
