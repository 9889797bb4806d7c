"""Run the uploader: `python -m services.uploader`."""

from services.uploader.actor import start
from services.uploader.settings import UploaderSettings
from shared.service import run


def main() -> None:
    """Run it until it is told to stop."""
    run("uploader", UploaderSettings, start)


if __name__ == "__main__":
    main()
