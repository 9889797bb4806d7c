"""The TOML file of storage accounts as types: what may stand in it, checked, with a clear line on what is wrong."""

import math
import re
import tomllib
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from services.uploader.secret import Secret
from shared.errors import Misconfigured

Size = Annotated[str, msgspec.Meta(pattern=r"^[0-9]+(\.[0-9]+)? ?(B|kB|MB|GB|TB)$")]
Url = Annotated[str, msgspec.Meta(pattern=r"^https?://[^\s]+$")]
Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
Weight = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]

_UNITS = {"B": 1, "kB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4}


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="store"):
    """What every account has."""

    name: Name
    weight: Weight = 1.0
    capacity: Size | None = None  # None: as much as the store takes


class LocalSettings(Settings, frozen=True, tag="local"):
    """A directory of the data directory, served at `/img`."""

    public_url: Url | None = None  # a CDN in front; None: Halftone's own address


class S3Settings(Settings, frozen=True, tag="s3"):
    """A bucket of any S3 endpoint."""

    public_url: Url
    bucket: str
    access_key_id: Secret
    secret_access_key: Secret
    endpoint: Url | None = None  # None: AWS
    region: str = "us-east-1"
    prefix: str = ""  # of every key in the bucket


class GitHubSettings(Settings, frozen=True, tag="github"):
    """Repositories `<repository>1`, `<repository>2`, … of one GitHub account."""

    owner: str
    token: Secret
    repository: str = "cdn"
    repository_size: Size = "1 GB"  # the next repository begins here
    branch: str = "main"
    ref: Literal["branch", "commit"] = "commit"  # what {ref} stands for in the public URL
    public_url: Url = "https://cdn.jsdelivr.net/gh/{owner}/{repository}@{ref}/{path}"
    verify_seconds: Seconds = 0  # how long to wait for the public URL to answer; 0: do not ask
    api_url: Url = "https://api.github.com"
    # GitHub's documented limits; other servers have their own.
    requests_per_hour: Count = 5_000
    writes_per_minute: Count = 80
    writes_per_hour: Count = 500
    seconds_between_writes: Seconds = 1.0
    seconds_between_commits: Seconds = 10.0


AccountSettings = LocalSettings | S3Settings | GitHubSettings


class AccountsFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole file."""

    account: Annotated[tuple[AccountSettings, ...], msgspec.Meta(min_length=1)]


def read_accounts(path: Path) -> tuple[AccountSettings, ...]:
    """Return the accounts that the file configures.

    Raises:
        Misconfigured: It cannot be read, is no TOML, or says something that we do not understand.
    """
    try:
        accounts = msgspec.convert(tomllib.loads(path.read_text()), AccountsFile).account
    except OSError as error:
        raise Misconfigured(f"{path}: {error.strerror}; HALFTONE_ACCOUNTS names this file") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Misconfigured(f"{path}: not TOML: {error}") from None
    except msgspec.ValidationError as error:
        raise Misconfigured(f"{path}: {error}") from None
    names = [account.name for account in accounts]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Misconfigured(f"{path}: two accounts have the name {', '.join(twice)}")
    return accounts


def size_in_bytes(size: str | None) -> float:
    """Return `"50 GB"` as bytes (decimal units), infinity for None."""
    if size is None:
        return math.inf
    number, unit = re.fullmatch(r"([0-9.]+) ?([kMGT]?B)", size).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit]
