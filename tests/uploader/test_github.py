"""The GitHub store, against a server that enforces what GitHub documents."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from msgspec.structs import replace

from services.uploader.accounts_file import GitHubSettings
from services.uploader.names import content_hash, object_name
from services.uploader.secret import Secret
from services.uploader.stores import github_api
from services.uploader.stores import turns as turn_taking
from services.uploader.stores.github import MAX_FILE_BYTES, GitHubStore
from services.uploader.stores.github_answers import blob_sha
from services.uploader.stores.store import RateLimited, Unverified
from services.uploader.stores.turns import Turns
from shared.errors import Reject, Retry
from shared.memory import MemoryBus
from shared.topology import ACCOUNTS
from tests.uploader.contract import DATA, NAME, StoreContract
from tests.uploader.github_accounts import Fault, Rates
from tests.uploader.github_routes import GitHub
from tests.uploader.github_server import running_github

TOKEN, WRONG = "token-octocat", "token-of-nobody-0123"
PATH = f"{NAME[:10]}/{content_hash(DATA)[:2]}/{content_hash(DATA)}.webp"
Opened = Callable[..., GitHubStore]


def contents(count: int) -> dict[str, bytes]:
    made = [DATA + b"%d" % number for number in range(count)]
    return {object_name(content_hash(data), "image/webp", "2026/11/25"): data for data in made}


async def put_all(store: GitHubStore, files: dict[str, bytes]) -> list[str]:
    stored = await asyncio.gather(*(store.put(name, data, "image/webp") for name, data in files.items()))
    return [each.url for each in stored]


@pytest.fixture(params=["graphql", "git data", "like Gitea"])
def kind(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture
def github(kind: str) -> GitHub:
    github = GitHub({TOKEN: "octocat"}, Rates(writes_per_minute=10_000))
    github.graphql, github.like_gitea = kind == "graphql", kind == "like Gitea"
    return github


@pytest.fixture
def url(github: GitHub) -> Iterator[str]:
    with running_github(github) as running:
        yield running


@pytest.fixture(autouse=True)
def impatience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", TOKEN)
    monkeypatch.setenv("WRONG", WRONG)
    monkeypatch.setattr(github_api, "FIRST_BACKOFF", 0.02)
    monkeypatch.setattr(turn_taking, "LOOK_SECONDS", 0.01)


@pytest.fixture
async def opened(url: str) -> AsyncIterator[Opened]:
    """Another replica's store of the same account."""
    bucket = MemoryBus().bucket(ACCOUNTS)
    settings = GitHubSettings(
        name="gh",
        owner="octocat",
        token=Secret(env="TOKEN"),
        api_url=url,
        public_url=f"{url}/gh/{{owner}}/{{repository}}@{{ref}}/{{path}}",
        writes_per_minute=10_000,
        seconds_between_writes=0,
        seconds_between_commits=0,
    )

    def open_store(**changes: object) -> GitHubStore:
        turns = Turns()
        turns.share(bucket)
        stores.append(GitHubStore(replace(settings, **changes), turns))
        return stores[-1]

    stores: list[GitHubStore] = []
    yield open_store
    for store in stores:
        await store.close()


@pytest.fixture
def store(opened: Opened) -> GitHubStore:
    return opened()


class TestGitHubStore(StoreContract):
    pass


async def test_the_file_is_named_by_day_shard_and_hash_and_public_at_its_commit(
    store: GitHubStore, github: GitHub, url: str
) -> None:
    stored = await store.put(NAME, DATA, "image/webp")
    repository = github.repositories["octocat/cdn1"]
    assert repository.files("main")[PATH] == blob_sha(DATA)
    assert stored.url == f"{url}/gh/octocat/cdn1@{repository.branches['main']}/{PATH}"


async def test_the_url_names_the_branch_where_configured(opened: Opened, url: str) -> None:
    stored = await opened(ref="branch").put(NAME, DATA, "image/webp")
    assert stored.url == f"{url}/gh/octocat/cdn1@main/{PATH}"


async def test_an_object_that_exists_costs_no_commit(store: GitHubStore, github: GitHub) -> None:
    await store.put(NAME, DATA, "image/webp")
    commits = len(github.repositories["octocat/cdn1"].commits)
    await store.put(NAME, DATA, "image/webp")
    assert len(github.repositories["octocat/cdn1"].commits) == commits


async def test_an_object_keeps_its_url_while_others_are_added(store: GitHubStore) -> None:
    first = await store.put(NAME, DATA, "image/webp")
    await put_all(store, contents(3))
    again = await store.put(NAME, DATA, "image/webp")
    assert (again.url, again.created) == (first.url, False)
    assert await store.find(NAME) == first.url


@pytest.mark.parametrize("kind", ["graphql"], indirect=True)
async def test_a_full_queue_costs_few_requests_a_rendition(store: GitHubStore, github: GitHub) -> None:
    await put_all(store, contents(300))
    assert len(github.account("octocat").requests) / 300 <= 0.05


@pytest.mark.parametrize("kind", ["graphql", "git data"], indirect=True)
async def test_what_waits_together_goes_into_one_commit(store: GitHubStore, github: GitHub) -> None:
    await put_all(store, contents(20))
    repository = github.repositories["octocat/cdn1"]
    assert len(repository.files("main")) == 21
    assert len(repository.commits) == 2


async def test_a_torn_file_under_the_name_is_replaced(store: GitHubStore, github: GitHub) -> None:
    await put_all(store, contents(1))
    repository = github.repositories["octocat/cdn1"]
    repository.change("main", {PATH: repository.add_blob(b"torn")})
    await store.put(NAME, DATA, "image/webp")
    assert await store.get(NAME) == DATA


async def test_writers_of_several_replicas_take_turns(opened: Opened, github: GitHub) -> None:
    github.moving_seconds = 0.02
    files = list(contents(40).items())
    replicas = [opened() for _ in range(4)]
    await asyncio.gather(*(put_all(replicas[index], dict(files[index::4])) for index in range(4)))
    assert len(github.repositories["octocat/cdn1"].files("main")) == 41
    assert github.conflicts == 0


async def test_what_nobody_waits_for_any_more_is_not_committed(opened: Opened) -> None:
    store = opened(seconds_between_commits=0.5)
    await store.put(NAME, DATA, "image/webp")
    puts = [asyncio.create_task(store.put(name, data, "image/webp")) for name, data in contents(3).items()]
    await asyncio.sleep(0.2)
    puts[0].cancel()
    await asyncio.gather(*puts, return_exceptions=True)
    assert [put.cancelled() for put in puts] == [True, False, False]
    assert len([found async for found in store.list()]) == 3


@pytest.mark.parametrize("kind", ["graphql"], indirect=True)
async def test_no_replica_starves_while_another_always_has_something_to_write(opened: Opened) -> None:
    eager, modest = opened(), opened()
    names = iter(contents(1000).items())

    async def keep_busy() -> None:
        for name, data in names:
            await eager.put(name, data, "image/webp")

    busy = asyncio.create_task(keep_busy())
    await asyncio.sleep(0.1)
    async with asyncio.timeout(5):
        for number in range(3):
            data = b"modest %d" % number
            await modest.put(object_name(content_hash(data), "image/webp", "2026/11/25"), data, "image/webp")
    assert not busy.done()
    busy.cancel()


async def test_a_foreign_writers_conflicts_are_retried_with_a_fresh_look(
    store: GitHubStore, github: GitHub, kind: str
) -> None:
    await store.put(NAME, DATA, "image/webp")
    repository = github.repositories["octocat/cdn1"]
    github.moving_seconds = 0.1

    async def write_meanwhile() -> None:
        for number in range(3):
            await asyncio.sleep(0.05)
            with repository.lock:
                repository.change("main", {f"theirs{number}": repository.add_blob(b"x")})

    await asyncio.gather(put_all(store, contents(5)), write_meanwhile())
    if kind == "graphql":
        assert sum(request.startswith("PUT") for _, request in github.account("octocat").requests) == 1
    assert len(repository.files("main")) == 1 + 1 + 5 + 3


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


async def test_a_full_repository_makes_way_for_the_next_one(opened: Opened, github: GitHub) -> None:
    store = opened(repository_size="2 kB")
    big = {name: data + bytes(900) for name, data in contents(1).items()}
    files = [
        (object_name(content_hash(data + b"%d" % n), "image/webp", "2026/11/25"), data + b"%d" % n)
        for n in range(5)
        for data in big.values()
    ]
    for name, data in files:
        await store.put(name, data, "image/webp")
    assert sorted(github.repositories) == ["octocat/cdn1", "octocat/cdn2"]
    assert sorted([found.name async for found in store.list()]) == sorted(name for name, _ in files)
    assert [await store.get(name) for name, _ in files] == [data for _, data in files]


async def test_a_repository_that_was_removed_is_made_again(store: GitHubStore, github: GitHub) -> None:
    await store.put(NAME, DATA, "image/webp")
    github.repositories.clear()
    with pytest.raises(Retry):
        await store.put(NAME, DATA, "image/webp")
    assert (await store.put(NAME, DATA, "image/webp")).created


@pytest.mark.parametrize("kind", ["graphql", "git data"], indirect=True)
async def test_a_configured_branch_is_made_where_the_owners_default_is_another(opened: Opened, github: GitHub) -> None:
    github.default_branch = "trunk"
    await opened().put(NAME, DATA, "image/webp")
    assert PATH in github.repositories["octocat/cdn1"].files("main")


async def test_more_than_jsdelivr_serves_is_refused_for_ever(store: GitHubStore) -> None:
    with pytest.raises(Reject, match="jsDelivr"):
        await store.put(NAME, bytes(MAX_FILE_BYTES + 1), "image/webp")


@pytest.mark.parametrize("kind", ["graphql", "git data"], indirect=True)
async def test_a_listing_that_github_truncates_is_walked(store: GitHubStore, github: GitHub) -> None:
    files = contents(12)
    await put_all(store, files)
    github.max_tree = 5
    assert sorted([found.name async for found in store.list()]) == sorted(files)


async def test_the_reply_waits_for_the_public_url(
    opened: Opened, github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.uploader.stores.github.FIRST_LOOK", 0.05)
    github.cdn_lag = 0.4
    store = opened(verify_seconds=5)
    began = asyncio.get_running_loop().time()
    await store.put(NAME, DATA, "image/webp")
    assert asyncio.get_running_loop().time() - began >= 0.4


async def test_a_public_url_that_does_not_come_is_for_later(
    opened: Opened, github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.uploader.stores.github.FIRST_LOOK", 0.05)
    github.cdn_lag = 60
    with pytest.raises(Unverified, match="does not answer yet"):
        await opened(verify_seconds=0.2).put(NAME, DATA, "image/webp")
