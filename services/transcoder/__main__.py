"""Run the transcoder: `python -m services.transcoder`."""

from services.transcoder.actor import start
from services.transcoder.settings import TranscoderSettings
from shared.service import run


def main() -> None:
    """Run it until it is told to stop."""
    run("transcoder", TranscoderSettings, start)


if __name__ == "__main__":
    main()
