"""`halftone tokens` on a data directory, and the refusal to serve other machines without one."""

from pathlib import Path

import pytest

from services.api.database import open_database
from services.api.doorkeeper import check_address
from services.api.tokens import check_token
from services.standalone.tokens import NoSuchToken, list_tokens, new_token, revoke_token
from shared.errors import Misconfigured


async def test_a_new_token_is_printed_alone_and_opens_the_api_until_it_is_revoked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await new_token(tmp_path, "my reader", "write")
    secret = capsys.readouterr().out.strip()
    database = await open_database("", tmp_path)
    known = await check_token(database, secret)
    await check_address(database, "0.0.0.0")  # does not raise
    await revoke_token(tmp_path, 1)
    afterwards = await check_token(database, secret)
    with pytest.raises(Misconfigured, match="halftone tokens new"):
        await check_address(database, "0.0.0.0")
    await database.close()

    assert known
    assert (known.name, known.scope, afterwards) == ("my reader", "write", None)


async def test_tokens_are_listed_with_what_they_may_and_without_their_secrets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await list_tokens(tmp_path)
    nothing = capsys.readouterr().out
    for name, scope in (("phone", "read"), ("console", "admin")):
        await new_token(tmp_path, name, scope)
    await revoke_token(tmp_path, 1)
    capsys.readouterr()
    await list_tokens(tmp_path)
    first, second = capsys.readouterr().out.splitlines()

    assert nothing.startswith("no tokens")
    assert (first.split()[:2], "revoked" in first, "phone" in first) == (["1", "read"], True, True)
    assert (second.split()[:2], "revoked" in second, "ht_" in second) == (["2", "admin"], False, False)


async def test_the_first_token_may_do_everything_and_the_next_only_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("mine", "reader"):
        await new_token(tmp_path, name, None)
    said = capsys.readouterr().err.splitlines()

    assert [line.split(":")[0] for line in said] == ["it may admin", "it may read"]


async def test_a_token_that_is_not_there_cannot_be_revoked(tmp_path: Path) -> None:
    with pytest.raises(NoSuchToken, match="number 7"):
        await revoke_token(tmp_path, 7)


async def test_tokens_of_a_directory_that_is_not_there_are_not_none(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="no data directory"):
        await list_tokens(tmp_path / "mistyped")

    assert not (tmp_path / "mistyped").exists()


async def test_whoever_revokes_the_last_token_is_told_that_nobody_is_let_in(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await new_token(tmp_path, "mine\x1b[2J", None)
    await revoke_token(tmp_path, 1)
    assert "nobody is let in until `halftone tokens new`" in capsys.readouterr().err
    await list_tokens(tmp_path)
    assert "nobody is let in" in (listed := capsys.readouterr().out)
    assert "\x1b" not in listed
