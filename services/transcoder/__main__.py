"""Run the transcoder: `python -m services.transcoder`."""

from services.transcoder.actor import start
from services.transcoder.settings import TranscoderSettings
from shared.service import run

if __name__ == "__main__":
    run("transcoder", TranscoderSettings, start)
