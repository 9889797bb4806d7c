"""A GitHub of the tests' own, of each kind in turn, and replicas' stores on it."""

from collections.abc import AsyncIterator, Iterator

import pytest
from msgspec.structs import replace

from services.uploader.accounts_file import GitHubSettings
from services.uploader.secret import Secret
from services.uploader.stores import github_api
from services.uploader.stores import turns as turn_taking
from services.uploader.stores.github import GitHubStore
from services.uploader.stores.turns import Turns
from shared.memory import MemoryBus
from shared.topology import ACCOUNTS
from tests.uploader.github_accounts import Rates
from tests.uploader.github_files import TOKEN, WRONG, Opened
from tests.uploader.github_routes import GitHub
from tests.uploader.github_server import running_github


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


@pytest.fixture
async def opened(url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Opened]:
    """Another replica's store of the same account; it does not wait long before it tries again."""
    monkeypatch.setenv("TOKEN", TOKEN)
    monkeypatch.setenv("WRONG", WRONG)
    monkeypatch.setattr(github_api, "FIRST_BACKOFF", 0.02)
    monkeypatch.setattr(turn_taking, "LOOK_SECONDS", 0.01)
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
