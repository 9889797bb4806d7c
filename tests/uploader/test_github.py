"""The GitHub store, against a server that enforces what GitHub documents."""

import asyncio

import pytest

from services.uploader.names import content_hash, object_name
from services.uploader.stores.github import MAX_FILE_BYTES, GitHubStore
from services.uploader.stores.github_answers import blob_sha
from services.uploader.stores.store import Unverified
from shared.errors import Reject, Retry
from tests.uploader.contract import DATA, NAME, StoreContract
from tests.uploader.github_files import PATH, Opened, contents, put_all
from tests.uploader.github_routes import GitHub


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
