"""Run the api: `python -m services.api`."""

from services.api.app import start
from services.api.settings import ApiSettings
from shared.service import run


def main() -> None:
    """Run it until it is told to stop."""
    run("api", ApiSettings, start)


if __name__ == "__main__":
    main()
