"""The uploader's settings."""

from pathlib import Path

from shared.settings import Settings


class UploaderSettings(Settings, frozen=True, kw_only=True):
    """Besides what every service is told."""

    accounts: Path | None = None  # the TOML file of storage accounts; empty: four local ones in the data directory
    data: Path = Path("data")  # where local accounts keep their objects
    public_url: str = "http://127.0.0.1:8080"  # what the local accounts' URLs begin with: the api's address
