"""GitHub's limits as rules."""

from itertools import pairwise

import pytest
from msgspec.structs import replace

from services.uploader.stores.github_budget import (
    Budget,
    Limits,
    commit_wait,
    committed,
    requests_left,
    spent,
    told,
    wait,
    writes_left,
)

NOW = 1_800_000_000.0
LIMITS = Limits(
    requests_per_hour=5_000,
    writes_per_minute=80,
    writes_per_hour=500,
    seconds_between_writes=1.0,
    seconds_between_commits=10.0,
)


def simulate(limits: Limits, seconds: float, *, write: bool = True) -> list[float]:
    """Return the times at which requests went out that always went as early as allowed."""
    budget, now, times = Budget(), NOW, list[float]()
    while now < NOW + seconds:
        pause = wait(budget, limits, now, write=write)
        if pause:
            now += pause
            continue
        budget = spent(budget, now, write=write)
        times.append(now)
        now += 0.01
    return times


def most_in(times: list[float], window: float) -> int:
    return max(sum(start <= at < start + window for at in times) for start in times)


def test_writes_keep_a_second_between_them() -> None:
    times = simulate(LIMITS, 30)
    assert min(later - at for at, later in pairwise(times)) >= 1.0


def test_no_window_of_a_minute_holds_more_writes_than_allowed() -> None:
    eager = replace(LIMITS, seconds_between_writes=0.0, writes_per_hour=100_000)
    times = simulate(eager, 400)
    assert most_in(times, 60) == 80
    assert len(times) > 400


def test_no_window_of_an_hour_holds_more_writes_than_allowed() -> None:
    times = simulate(LIMITS, 3 * 3600)
    assert most_in(times, 3600) == 500


def test_no_window_of_an_hour_holds_more_requests_than_allowed() -> None:
    times = simulate(replace(LIMITS, requests_per_hour=100), 3 * 3600, write=False)
    assert most_in(times, 3600) == 100


def test_commits_keep_ten_seconds_between_them() -> None:
    assert commit_wait(committed(Budget(), NOW), LIMITS, NOW + 4) == 6
    assert commit_wait(committed(Budget(), NOW), LIMITS, NOW + 10) == 0


def test_what_is_left_is_what_the_windows_leave() -> None:
    budget = spent(spent(Budget(), NOW, write=True), NOW, write=False)
    assert writes_left(budget, LIMITS, NOW) == 79
    assert requests_left(budget, LIMITS, NOW) == 4_998


def test_the_servers_word_on_what_is_left_counts_too() -> None:
    budget = told(Budget(), {"x-ratelimit-remaining": "7"}, NOW, refused=False)
    assert requests_left(budget, LIMITS, NOW) == 7


@pytest.mark.parametrize(
    ("headers", "refused", "expected"),
    [
        ({}, False, 0),
        ({"x-ratelimit-remaining": "1", "x-ratelimit-reset": f"{NOW + 99:.0f}"}, False, 0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{NOW + 99:.0f}"}, False, 99),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": f"{NOW - 99:.0f}"}, True, 1),
        ({"retry-after": "30", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "99999999999"}, True, 30),
        ({"retry-after": "soon"}, True, 60),
        ({}, True, 60),
        # The server's clock is a day ahead of ours: its reset is a minute after its own time.
        (
            {
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": "1800086460",
                "date": "Sat, 16 Jan 2027 08:00:00 GMT",
            },
            True,
            60,
        ),
    ],
)
def test_the_server_says_how_long_to_wait(headers: dict[str, str], refused: bool, expected: float) -> None:
    assert wait(told(Budget(), headers, NOW, refused=refused), LIMITS, NOW, write=False) == expected


def test_a_later_answer_does_not_lift_a_pause() -> None:
    budget = told(Budget(), {"retry-after": "30"}, NOW, refused=True)
    budget = told(budget, {"x-ratelimit-remaining": "10"}, NOW + 1, refused=False)
    assert wait(budget, LIMITS, NOW + 1, write=False) == 29
