"""Uploads over several GitHub accounts."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest

from services.uploader import renditions
from services.uploader.accounts import load_accounts
from services.uploader.names import content_hash, object_name
from services.uploader.stores import github as github_store
from services.uploader.stores import github_api, turns
from services.uploader.stores.store import Unverified
from services.uploader.uploader import Unstored, Uploader
from shared.memory import MemoryBus
from shared.topology import ACCOUNTS, RENDITIONS
from tests.uploader.github_accounts import Fault, Rates
from tests.uploader.github_routes import GitHub
from tests.uploader.github_server import running_github

NAMES = ("a", "b", "c")
DAY = "2026/11/25"
Replica = Callable[..., Uploader]


@pytest.fixture
def github() -> GitHub:
    return GitHub({f"token-{name}": name for name in NAMES}, Rates())


@pytest.fixture
def url(github: GitHub) -> Iterator[str]:
    with running_github(github) as running:
        yield running


@pytest.fixture
async def replica(url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Replica]:
    """Another uploader of the same accounts on the same bus."""
    monkeypatch.setattr(github_api, "FIRST_BACKOFF", 0.02)
    monkeypatch.setattr(github_store, "FIRST_LOOK", 0.05)
    monkeypatch.setattr(turns, "LOOK_SECONDS", 0.01)
    bus = MemoryBus()
    started: list[Uploader] = []

    def start(more: str = "") -> Uploader:
        text = ""
        for name in NAMES:
            monkeypatch.setenv(f"TOKEN_{name}", f"token-{name}")
            text += (
                f'[[account]]\nstore = "github"\nname = "{name}"\nowner = "{name}"\napi_url = "{url}"\n'
                f'token = {{ env = "TOKEN_{name}" }}\nseconds_between_writes = 0\nseconds_between_commits = 0\n'
                f'public_url = "{url}/gh/{{owner}}/{{repository}}@{{ref}}/{{path}}"\n{more}\n'
            )
        file = tmp_path / "accounts.toml"
        file.write_text(text)
        accounts = load_accounts(file, data=tmp_path, public_url="http://127.0.0.1")
        started.append(Uploader(accounts, renditions=bus.bucket(RENDITIONS), healths=bus.bucket(ACCOUNTS)))
        return started[-1]

    yield start
    for uploader in started:
        await uploader.close()


def copies(github: GitHub) -> Counter[str]:
    return Counter(
        path.rpartition("/")[2]
        for repository in github.repositories.values()
        for path in repository.files("main")
        if path.endswith(".webp")
    )


async def test_renditions_of_two_replicas_are_stored_once_over_all_accounts(replica: Replica, github: GitHub) -> None:
    replicas = [replica(), replica()]
    contents = [b"rendition %d" % (number // 2) for number in range(120)]
    placements = await asyncio.gather(
        *(replicas[number % 2].upload(data, "image/webp", DAY) for number, data in enumerate(contents))
    )
    assert len({placement.url for placement in placements}) == 60
    assert set(copies(github).values()) == {1}
    assert {placement.account for placement in placements} == set(NAMES)


async def test_an_account_out_of_rate_is_passed_over_and_not_asked_again(replica: Replica, github: GitHub) -> None:
    github.faults = [Fault(".", times=999, status=403, headers={"retry-after": "600"}, owner="a")]
    uploader = replica()
    placements = [await uploader.upload(b"%d" % number, "image/webp", DAY) for number in range(12)]
    assert {placement.account for placement in placements} == {"b", "c"}
    assert sum("a" in placement.failed_accounts for placement in placements) == 1
    assert len(github.account("a").requests) == 0


async def test_where_no_account_has_rate_the_upload_is_for_when_one_has(replica: Replica, github: GitHub) -> None:
    github.faults = [Fault(".", times=999, status=429, headers={"retry-after": "90"})]
    with pytest.raises(Unstored, match="no rate left") as caught:
        await replica().upload(b"rendition", "image/webp", DAY)
    assert caught.value.after == pytest.approx(90, abs=2)


async def test_an_object_whose_url_does_not_come_is_not_stored_elsewhere_too(replica: Replica, github: GitHub) -> None:
    github.cdn_lag = 1.0
    uploader = replica("verify_seconds = 0.2")
    for _ in range(2):
        with pytest.raises(Unverified):
            await uploader.upload(b"rendition", "image/webp", DAY)
    assert [(await uploader.healths.read(name)).failures for name in NAMES] == [0, 0, 0]
    await asyncio.sleep(0.8)
    placement = await uploader.upload(b"rendition", "image/webp", DAY)
    assert placement.failed_accounts == ()
    assert list(copies(github).values()) == [1]


async def test_an_answer_that_got_lost_for_good_does_not_store_a_second_copy(replica: Replica, github: GitHub) -> None:
    uploader = replica()
    for name in NAMES:
        github.faults += [Fault("^PUT", times=3, after=True, owner=name)]
    placement = await uploader.upload(b"rendition", "image/webp", DAY)
    assert placement.failed_accounts == ()
    assert list(copies(github).values()) == [1]


async def test_what_a_dead_uploader_left_unfinished_is_stored_in_one_commit_without_a_look_for_each(
    replica: Replica, github: GitHub, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renditions, "LEASE_SECONDS", 0.1)
    uploader = replica()
    contents = [b"rendition %d" % number for number in range(30)]
    for data in contents:
        content = content_hash(data)
        await uploader.renditions.claim(content, object_name(content, "image/webp", DAY), "a")
    alive = replica()
    placements = await asyncio.gather(*(alive.upload(data, "image/webp", DAY) for data in contents))
    assert {(placement.account, placement.created) for placement in placements} == {("a", True)}
    assert set(copies(github).values()) == {1}
    assert len(github.account("a").requests) <= 12


async def test_tokens_are_in_no_log_error_or_metric(
    replica: Replica, github: GitHub, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG")
    github.faults = [Fault(".", times=4, status=500), Fault(".", times=4), Fault(".", times=99, status=403)]
    uploader = replica()
    for number in range(4):
        with pytest.raises(Unstored) as caught:
            await uploader.upload(b"%d" % number, "image/webp", DAY)
        assert "token-" not in str(caught.value)
    assert "token-" not in await uploader.unready()
    printed = capsys.readouterr()
    assert "token-" not in printed.out + printed.err + caplog.text
    assert "storage account failed" in printed.out
