"""Run the fetcher: `python -m services.fetcher`."""

from services.fetcher.actor import start
from services.fetcher.settings import FetcherSettings
from shared.service import run

if __name__ == "__main__":
    run("fetcher", FetcherSettings, start)
