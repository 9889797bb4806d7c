"""Run the uploader: `python -m services.uploader`."""

from services.uploader.actor import start
from services.uploader.settings import UploaderSettings
from shared.service import run

if __name__ == "__main__":
    run("uploader", UploaderSettings, start)
