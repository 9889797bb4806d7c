"""The pure rules of an account's health."""

import math

import pytest

from services.uploader.health import (
    FAILURES_TO_OPEN,
    FIRST_PAUSE,
    LONGEST_PAUSE,
    PROBE_SECONDS,
    Health,
    failed,
    filled,
    free_at,
    is_half_open,
    limited,
    obstacle,
    probing,
    succeeded,
    used,
)

NOW = 1_000_000.0


def why_not(health: Health, *, now: float = NOW, size: int = 1, capacity: float = math.inf) -> str:
    return obstacle(health, now, size=size, capacity=capacity)


def broken(times: int) -> Health:
    health = Health()
    for _ in range(times):
        health = failed(health, NOW, "HTTP 500")
    return health


def test_a_new_account_takes_an_object() -> None:
    assert why_not(Health()) == ""


def test_fewer_failures_than_three_in_a_row_leave_the_breaker_closed() -> None:
    assert why_not(broken(FAILURES_TO_OPEN - 1)) == ""


def test_the_third_failure_in_a_row_opens_the_breaker_and_says_why() -> None:
    assert why_not(broken(FAILURES_TO_OPEN)) == "breaker open for 5 s: HTTP 500"


def test_a_success_between_failures_starts_the_count_anew() -> None:
    health = failed(succeeded(broken(FAILURES_TO_OPEN - 1)), NOW, "HTTP 500")
    assert why_not(health) == ""


def test_an_open_breaker_is_half_open_after_its_pause() -> None:
    health = broken(FAILURES_TO_OPEN)
    assert why_not(health, now=NOW + FIRST_PAUSE) == ""
    assert is_half_open(health)
    assert not is_half_open(broken(FAILURES_TO_OPEN - 1))


def test_nobody_else_gets_in_while_a_probe_runs() -> None:
    later = NOW + FIRST_PAUSE
    health = probing(broken(FAILURES_TO_OPEN), later)
    assert "breaker open" in why_not(health, now=later)
    assert why_not(health, now=later + PROBE_SECONDS) == ""


def test_a_probe_that_works_closes_the_breaker() -> None:
    health = succeeded(probing(broken(FAILURES_TO_OPEN), NOW))
    assert why_not(health) == ""
    assert not is_half_open(health)


@pytest.mark.parametrize(("failures", "pause"), [(3, 5), (4, 10), (5, 20), (20, LONGEST_PAUSE)])
def test_each_probe_that_fails_doubles_the_pause_up_to_five_minutes(failures: int, pause: float) -> None:
    assert broken(failures).closed_at == NOW + pause


def test_a_full_account_is_left_alone_at_once() -> None:
    health = filled(Health(), NOW, "disk full")
    assert why_not(health) == "breaker open for 5 s: disk full"
    assert why_not(health, now=NOW + FIRST_PAUSE) == ""
    assert is_half_open(health)


def test_an_account_without_rate_is_left_alone_and_is_not_ill() -> None:
    health = limited(Health(), NOW, 30)
    assert why_not(health) == "no rate left for 30 s"
    assert why_not(health, now=NOW + 30) == ""
    assert not is_half_open(health)


def test_a_shorter_limit_does_not_shorten_a_longer_one() -> None:
    assert limited(limited(Health(), NOW, 30), NOW, 5).limited_until == NOW + 30


def test_an_account_is_filled_up_to_its_capacity_and_no_further() -> None:
    health = used(Health(), objects=1, bytes=90)
    assert why_not(health, size=10, capacity=100) == ""
    assert why_not(health, size=11, capacity=100) == "no room left"


def test_use_never_falls_below_nothing() -> None:
    assert used(Health(), objects=-1, bytes=-5) == Health()


def test_an_account_is_free_when_both_breaker_and_limit_are() -> None:
    assert free_at(limited(broken(FAILURES_TO_OPEN), NOW, 60)) == NOW + 60
