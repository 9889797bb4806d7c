"""The configured accounts."""

import os
from pathlib import Path

import pytest
from structlog.testing import CapturingLogger

from services.uploader.accounts import Accounts, load_accounts
from services.uploader.accounts_file import size_in_bytes
from shared.errors import Misconfigured
from tests.uploader.contract import DATA, NAME

SECRET = "ghp_0123456789abcdef"


def load(tmp_path: Path, toml: str) -> Accounts:
    file = tmp_path / "accounts.toml"
    file.write_text(toml)
    return load_accounts(file, data=tmp_path, public_url="http://127.0.0.1:8080")


def local(*names: str) -> str:
    return "".join(f'[[account]]\nstore = "local"\nname = "{name}"\n' for name in names)


async def test_without_a_file_there_are_four_local_accounts_under_the_data_directory(tmp_path: Path) -> None:
    accounts = load_accounts(None, data=tmp_path, public_url="http://127.0.0.1:8080/")
    assert [account.name for account in accounts] == ["local-1", "local-2", "local-3", "local-4"]
    stored = await accounts["local-2"].store.put(NAME, DATA, "image/webp")
    assert stored.url == f"http://127.0.0.1:8080/img/local-2/{NAME}"
    assert (tmp_path / "objects" / "local-2" / NAME).read_bytes() == DATA


async def test_a_local_account_may_have_a_cdn_in_front(tmp_path: Path) -> None:
    accounts = load(tmp_path, local("disk") + 'public_url = "https://img.example.org/a"\n')
    stored = await accounts["disk"].store.put(NAME, DATA, "image/webp")
    assert stored.url == f"https://img.example.org/a/{NAME}"


def test_the_shipped_example_is_a_valid_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, SECRET)
    example = Path("accounts.example.toml").read_text().replace("/run/secrets", str(tmp_path))
    (tmp_path / "github_token").write_text(SECRET)
    assert {account.settings.__struct_config__.tag for account in load(tmp_path, example)} == {
        "local",
        "s3",
        "github",
    }


@pytest.mark.parametrize(
    ("toml", "complaint"),
    [
        ("", "missing required field `account`"),
        ("account = []", "length >= 1"),
        ("[[account]", "not TOML"),
        ('[[account]]\nname = "a"\n', "missing required field `store`"),
        ('[[account]]\nname = "a"\nstore = "ftp"\n', "Invalid value 'ftp'"),
        ('[[account]]\nname = "A b"\nstore = "local"\n', "account[0].name"),
        (local("a") + "weight = 0\n", "account[0].weight"),
        (local("a") + 'capacity = "big"\n', "account[0].capacity"),
        (local("a") + "wieght = 2\n", "unknown field `wieght`"),
        (local("a") + 'public_url = "img.example.org"\n', "account[0].public_url"),
        (local("a", "a"), "two accounts have the name a"),
    ],
)
def test_anything_wrong_in_the_file_is_said_in_one_line_that_names_the_place(
    tmp_path: Path, toml: str, complaint: str
) -> None:
    with pytest.raises(Misconfigured) as caught:
        load(tmp_path, toml)
    assert str(tmp_path / "accounts.toml") in str(caught.value)
    assert complaint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_names_the_setting(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="HALFTONE_ACCOUNTS"):
        load_accounts(tmp_path / "none.toml", data=tmp_path, public_url="http://127.0.0.1")


GITHUB = '[[account]]\nstore = "github"\nname = "gh"\nowner = "octocat"\n'


def test_a_secret_that_stands_in_the_file_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match=r"account\[0\]\.token") as caught:
        load(tmp_path, GITHUB + f'token = "{SECRET}"\n')
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize(
    ("reference", "complaint"),
    [
        ('{ env = "NOT_SET_ANYWHERE" }', "account gh: the environment variable NOT_SET_ANYWHERE is not set"),
        ('{ file = "/nowhere/token" }', "account gh: the secret's file /nowhere/token cannot be read"),
        ("{}", 'a secret is { env = "NAME" } or { file = "PATH" }'),
        ('{ env = "A", file = "B" }', 'a secret is { env = "NAME" } or { file = "PATH" }'),
    ],
)
def test_a_secret_that_is_not_there_names_where_it_should_be(tmp_path: Path, reference: str, complaint: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        load(tmp_path, GITHUB + f"token = {reference}\n")
    assert complaint in str(caught.value)


def test_a_secret_that_no_header_can_carry_is_refused_and_not_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", f"{SECRET}\u00e9")
    with pytest.raises(Misconfigured, match="TOKEN holds characters") as caught:
        load(tmp_path, GITHUB + 'token = { env = "TOKEN" }\n')
    assert SECRET not in str(caught.value)


def test_nothing_that_is_printed_of_an_account_holds_its_secret(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", SECRET)
    accounts = load(tmp_path, GITHUB + 'token = { env = "TOKEN" }\n')
    assert SECRET not in repr(list(accounts))


def rewrite(tmp_path: Path, toml: str) -> None:
    file = tmp_path / "accounts.toml"
    file.write_text(toml)
    later = file.stat().st_mtime_ns + 1_000_000_000
    os.utime(file, ns=(later, later))


def test_a_changed_file_is_taken_over_and_unchanged_accounts_stay_as_they_are(tmp_path: Path) -> None:
    accounts = load(tmp_path, local("a", "b"))
    before = accounts["b"]
    rewrite(tmp_path, local("b", "c"))
    accounts.refresh()
    assert [account.name for account in accounts] == ["b", "c"]
    assert accounts["b"] is before
    assert accounts.get("a") is None


def test_a_changed_file_that_is_broken_leaves_the_accounts_as_they_were(tmp_path: Path) -> None:
    accounts = load(tmp_path, local("a"))
    rewrite(tmp_path, "[[account]]")
    accounts.refresh()
    assert [account.name for account in accounts] == ["a"]
    rewrite(tmp_path, local("a", "b"))
    accounts.refresh()
    assert [account.name for account in accounts] == ["a", "b"]


def test_a_broken_file_is_logged_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    accounts = load(tmp_path, local("a"))
    lines = CapturingLogger()
    monkeypatch.setattr("services.uploader.accounts.log", lines)
    rewrite(tmp_path, "[[account]]")
    for _ in range(3):
        accounts.refresh()
    assert [call.args for call in lines.calls] == [("accounts file not taken over",)]


def test_a_file_that_vanishes_leaves_the_accounts_as_they_were(tmp_path: Path) -> None:
    accounts = load(tmp_path, local("a"))
    (tmp_path / "accounts.toml").unlink()
    accounts.refresh()
    assert [account.name for account in accounts] == ["a"]


@pytest.mark.parametrize(
    ("size", "expected"), [("512 B", 512), ("1.5 kB", 1500), ("50GB", 50e9), ("2 TB", 2e12), (None, float("inf"))]
)
def test_sizes_are_decimal(size: str | None, expected: float) -> None:
    assert size_in_bytes(size) == expected
