"""`halftone accounts`: the storage accounts' health, use and remaining rate, and whether each works from end to end."""

import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from services.standalone.administration import administration
from services.uploader.accounts import load_accounts
from services.uploader.accounts_table import AccountRow, accounts_table
from services.uploader.checks import PUBLIC_URL, Checked, check_accounts
from services.uploader.settings import UploaderSettings
from services.uploader.uploader import Uploader
from shared.errors import HalftoneError
from shared.settings import load
from shared.topology import ACCOUNTS, RENDITIONS

WIDE = 200  # columns where nobody looks through a terminal: one line an account, for grep


class Unwell(HalftoneError):
    """Some accounts did not do what was asked of them; what went wrong with each is printed already."""


@asynccontextmanager
async def uploader_beside(data: Path) -> AsyncGenerator[Uploader]:
    """Give an uploader that shares claims, turns and healths with those that run; it answers no requests.

    The accounts are those of `HALFTONE_ACCOUNTS`, else the local ones of the data directory.

    Raises:
        Misconfigured: No broker answers, or the accounts are not usable.
    """
    settings = msgspec.structs.replace(load(UploaderSettings), data=data)
    accounts = load_accounts(settings.accounts, data=settings.data, public_url=settings.public_url)
    async with administration(data) as bus:
        uploader = Uploader(accounts, renditions=bus.bucket(RENDITIONS), healths=bus.bucket(ACCOUNTS))
        try:
            yield uploader
        finally:
            await uploader.close()


async def show_accounts(data: Path) -> None:
    """Print a row for each account, in the file's order."""
    async with uploader_beside(data) as uploader:
        rows = await accounts_table(uploader.accounts, uploader.healths)
    Console(width=None if sys.stdout.isatty() else WIDE).print(_table(rows))


async def check(data: Path) -> None:
    """Write, read back, see in public and remove a probe in every account; print a line for each.

    Raises:
        Unwell: Some failed.
    """
    async with uploader_beside(data) as uploader:
        checked = await check_accounts(uploader.accounts)
    for each in checked:
        print(_line(each))
    failed = sum(bool(each.failure) for each in checked)
    if failed:
        public = any(each.failure.startswith(PUBLIC_URL) for each in checked)
        base = load(UploaderSettings).public_url
        advice = (
            f"; URLs of local accounts begin with HALFTONE_PUBLIC_URL: is {base} the api's address?" if public else ""
        )
        raise Unwell(f"{failed} of {len(checked)} storage accounts failed{advice}")


def _line(checked: Checked) -> str:
    result = f"FAIL  {checked.failure}" if checked.failure else "ok"
    return f"{checked.account}  {checked.store}  {checked.seconds:.1f} s  {result}"


def _table(rows: list[AccountRow]) -> Table:
    table = Table(box=None, pad_edge=False)
    for heading in ("account", "store"):
        table.add_column(heading, no_wrap=True)
    for heading in ("weight", "objects", "used", "capacity", "writes left"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("health")
    for row in rows:
        table.add_row(
            row.name,
            row.store,
            f"{row.weight:g}",
            f"{row.objects}",
            decimal(row.bytes),
            "-" if row.capacity is None else decimal(int(row.capacity)),
            "-" if row.writes_left is None else f"{row.writes_left}",
            _health(row),
        )
    return table


def _health(row: AccountRow) -> Text:
    if row.obstacle:
        return Text(row.obstacle, style="red")
    if row.breaker == "half-open":
        return Text("half-open: the next upload tries it", style="yellow")
    return Text("well", style="green")
