"""The GitHub store where GitHub is away, refuses the token or asks to slow down."""

import asyncio

import pytest
from msgspec.structs import replace

from services.uploader.secret import Secret
from services.uploader.stores import turns
from services.uploader.stores.github import GitHubStore
from services.uploader.stores.store import RateLimited
from shared.errors import Retry
from tests.uploader.contract import DATA, NAME
from tests.uploader.github_accounts import Fault, Rates
from tests.uploader.github_files import WRONG, Opened, contents, put_all
from tests.uploader.github_routes import GitHub


async def test_a_dropped_answer_does_not_store_twice(store: GitHubStore, github: GitHub) -> None:
    github.faults = [Fault("^(PUT|PATCH|POST /graphql)", times=2, after=True)]
    await put_all(store, contents(6))
    assert len(github.repositories["octocat/cdn1"].files("main")) == 7


@pytest.mark.parametrize("fault", [Fault(".", status=502), Fault("."), Fault(".", slow=0.3)])
async def test_a_hiccup_is_repeated(store: GitHubStore, github: GitHub, fault: Fault) -> None:
    await store.check()
    github.faults = [replace(fault)]
    assert (await store.put(NAME, DATA, "image/webp")).url


async def test_a_server_that_stays_down_is_for_later(store: GitHubStore, github: GitHub) -> None:
    github.faults = [Fault(".", times=1000, status=503)]
    with pytest.raises(Retry, match="HTTP 503"):
        await store.put(NAME, DATA, "image/webp")


async def test_a_refused_token_is_said_and_not_repeated(opened: Opened) -> None:
    store = opened(token=Secret(env="WRONG"))
    for verb in (lambda: store.put(NAME, DATA, "image/webp"), store.check):
        with pytest.raises(Retry, match=r"token refused \(401\)") as caught:
            await verb()
        assert WRONG not in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        (Fault("PUT|POST", status=403, headers={"retry-after": "120"}), 120),
        (Fault("PUT|POST", status=429, headers={"retry-after": "90"}), 90),
        (Fault("PUT|POST", status=403, message="You have exceeded a secondary rate limit."), 60),
        (Fault("PUT|POST", status=429), 60),
    ],
)
async def test_a_rate_limit_is_for_later_and_nothing_is_asked_meanwhile(
    store: GitHubStore, github: GitHub, fault: Fault, seconds: float
) -> None:
    github.faults = [replace(fault, times=1000)]
    with pytest.raises(RateLimited) as caught:
        await store.put(NAME, DATA, "image/webp")
    assert caught.value.after == pytest.approx(seconds, abs=2)
    asked = len(github.account("octocat").requests)
    with pytest.raises(RateLimited):
        await store.put(NAME, DATA, "image/webp")
    assert len(github.account("octocat").requests) == asked


async def test_other_replicas_keep_to_a_rate_limit_that_one_was_told(opened: Opened, github: GitHub) -> None:
    github.faults = [Fault("PUT|POST", status=429, headers={"retry-after": "90"})]
    with pytest.raises(RateLimited):
        await opened().put(NAME, DATA, "image/webp")
    with pytest.raises(RateLimited):
        await opened().put(NAME, DATA, "image/webp")
    assert github.repositories == {}


async def test_a_forbidden_token_is_no_rate_limit(store: GitHubStore, github: GitHub) -> None:
    github.faults = [Fault("PUT|POST", times=9, status=403, message="Resource not accessible by personal access token")]
    with pytest.raises(Retry, match=r"token refused \(403\)") as caught:
        await store.put(NAME, DATA, "image/webp")
    assert not isinstance(caught.value, RateLimited)


async def test_the_limits_are_kept_over_all_replicas(opened: Opened, github: GitHub) -> None:
    github.rates = Rates(writes_per_minute=12)
    replicas = [opened(writes_per_minute=12) for _ in range(2)]
    files = list(contents(40).items())
    results = await asyncio.gather(
        *(replicas[number % 2].put(name, data, "image/webp") for number, (name, data) in enumerate(files)),
        return_exceptions=True,
    )
    assert github.account("octocat").refused == 0
    assert len(github.account("octocat").writes) <= 12
    assert all(not isinstance(result, BaseException) or isinstance(result, RateLimited) for result in results)


async def test_who_was_stopped_in_the_middle_of_a_turn_writes_nothing_more(
    store: GitHubStore, github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    await store.put(NAME, DATA, "image/webp")
    monkeypatch.setattr(turns, "LEASE_SECONDS", 0.0)
    writes = len(github.account("octocat").writes)
    with pytest.raises(Retry, match="another uploader may be writing"):
        await put_all(store, contents(3))
    assert len(github.account("octocat").writes) == writes
