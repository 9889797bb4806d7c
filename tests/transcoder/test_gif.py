import pytest

from services.transcoder.gif import parse
from services.transcoder.rendition import Limits, Unrenderable
from tests.transcoder.gifs import Frame, gif

GREY = bytes(range(256)) * 3


def dot(left: int = 0, top: int = 0, delay: int = 5) -> Frame:
    return Frame(1, 1, b"\7", left, top, delay=delay)


@pytest.mark.parametrize(("loop", "plays"), [(None, 1), (0, 0), (1, 2), (7, 8), (65_535, 65_535)])
def test_a_loop_count_counts_repetitions(loop: int | None, plays: int) -> None:
    assert plays == parse(gif(2, 2, [dot()], GREY, loop)).plays


@pytest.mark.parametrize(("delay", "milliseconds"), [(0, 100), (1, 100), (2, 20), (10, 100), (65_535, 655_350)])
def test_delays_of_ten_milliseconds_or_less_last_a_tenth_of_a_second(delay: int, milliseconds: int) -> None:
    assert milliseconds == parse(gif(2, 2, [dot(delay=delay)], GREY)).duration_ms


def test_the_canvas_grows_to_hold_the_first_frame_but_no_later_one() -> None:
    parsed = parse(gif(2, 2, [dot(left=8, top=4), dot(left=30, top=30)], GREY))

    assert (parsed.width, parsed.height) == (9, 5)


def test_a_control_extension_speaks_of_the_next_frame_alone() -> None:
    frames = parse(gif(2, 2, [dot(delay=50), Frame(1, 1, b"\7", controlled=False)], GREY)).frames

    assert [frame.duration_ms for frame in frames] == [500, 100]


def test_a_file_that_turns_into_noise_gives_the_frames_before() -> None:
    data = gif(2, 2, [dot(), dot()], GREY, trailer=b"\x99noise,and,more")

    assert len(parse(data).frames) == 2


@pytest.mark.parametrize(
    ("limits", "reason"),
    [
        (Limits(frame_pixels=99), "the canvas has 10 x 10 pixels, too many to decode"),
        (Limits(frames=1), "it has more than 1 frames"),
        (Limits(total_pixels=150), "its frames have more than 150 pixels in all"),
    ],
)
def test_limits_refuse_before_a_pixel_is_decoded(limits: Limits, reason: str) -> None:
    data = gif(10, 10, [Frame(10, 10, bytes(100))] * 2, GREY)

    with pytest.raises(Unrenderable) as refused:
        parse(data, limits)

    assert reason == str(refused.value)


def test_a_later_frame_beyond_the_limit_is_refused_too() -> None:
    data = gif(10, 10, [Frame(10, 10, bytes(100)), Frame(11, 10, bytes(110))], GREY)

    with pytest.raises(Unrenderable, match=r"frame 2 has 110 pixels; 100 are allowed"):
        parse(data, Limits(frame_pixels=100))


@pytest.mark.parametrize("data", [b"GIF89a", b"GIF89a" + bytes(7), gif(3, 3, [])])
def test_a_gif_without_an_image_is_refused(data: bytes) -> None:
    with pytest.raises(Unrenderable, match="GIF"):
        parse(data)
