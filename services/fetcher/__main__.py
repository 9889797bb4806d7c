"""Run the fetcher: `python -m services.fetcher`."""

from services.fetcher.actor import start
from services.fetcher.settings import FetcherSettings
from shared.service import run


def main() -> None:
    """Run it until it is told to stop."""
    run("fetcher", FetcherSettings, start)


if __name__ == "__main__":
    main()
