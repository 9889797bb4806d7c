"""Settings: from the environment, with a line for people where they do not fit."""

import importlib
import socket
from pathlib import Path

import pytest

from services.api.settings import ApiSettings
from services.fetcher.settings import FetcherSettings
from services.transcoder.settings import TranscoderSettings
from services.uploader.settings import UploaderSettings
from shared.errors import Misconfigured
from shared.settings import Settings, load


class Sample(Settings, frozen=True, kw_only=True):
    folder: Path = Path("data")
    width: int | None = None
    strict: bool = False


def refusal(**environment: str) -> str:
    with pytest.raises(Misconfigured) as caught:
        load(Sample, environment)
    return str(caught.value)


def test_an_empty_environment_gives_the_defaults() -> None:
    settings = load(Sample, {})
    assert settings == Sample()
    assert (settings.nats_url, settings.ops_port, settings.instance) == (
        "nats://127.0.0.1:4222",
        0,
        socket.gethostname(),
    )


def test_values_become_what_their_fields_are() -> None:
    environment = {
        "HALFTONE_OPS_PORT": "9100",
        "HALFTONE_DRAIN_SECONDS": "2.5",
        "HALFTONE_FOLDER": "/var/lib",
        "HALFTONE_WIDTH": "800",
        "HALFTONE_STRICT": "true",
        "HALFTONE_UNHEARD_OF": "1",
        "WIDTH": "2",
    }
    expected = Sample(ops_port=9100, drain_seconds=2.5, folder=Path("/var/lib"), width=800, strict=True)
    assert load(Sample, environment) == expected


def test_an_empty_value_counts_as_none() -> None:
    assert load(Sample, {"HALFTONE_OPS_PORT": "", "HALFTONE_WIDTH": "", "HALFTONE_NATS_PASSWORD_FILE": ""}) == Sample()


def test_the_process_environment_is_read_where_none_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALFTONE_WIDTH", "5")
    assert load(Sample).width == 5


def test_a_secret_may_stand_in_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "password"
    secret.write_text("hush\n", encoding="utf-8")
    assert load(Sample, {"HALFTONE_NATS_PASSWORD_FILE": str(secret)}).nats_password == "hush"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    missing, binary = tmp_path / "missing", tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe\x00")
    assert refusal(HALFTONE_NATS_PASSWORD_FILE=str(missing)) == (
        f"cannot read HALFTONE_NATS_PASSWORD_FILE {missing}: No such file or directory"
    )
    assert refusal(HALFTONE_NATS_PASSWORD_FILE=str(binary)) == (
        f"cannot read HALFTONE_NATS_PASSWORD_FILE {binary}: it is not UTF-8"
    )


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("OPS_PORT", "http", "expected `int`, got `str`"),
        ("OPS_PORT", "99999", "expected `int` <= 65535"),
        ("CONCURRENCY", "-1", "expected `int` >= 0"),
        ("DRAIN_SECONDS", "-1", "expected `float` >= 0"),
        ("LOG_LEVEL", "loud", "invalid enum value 'loud'"),
        ("LOG_FORMAT", "xml", "invalid enum value 'xml'"),
        ("WIDTH", "wide", "expected `int | null`, got `str`"),
    ],
)
def test_a_value_that_does_not_fit_is_named_by_its_setting(name: str, value: str, reason: str) -> None:
    line = refusal(**{f"HALFTONE_{name}": value})
    assert line.startswith(f"HALFTONE_{name} is {value!r}: {reason}")
    assert "\n" not in line


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (TranscoderSettings, "QUALITY", "0"),
        (TranscoderSettings, "QUALITY", "1000"),
        (TranscoderSettings, "MAX_WIDTH", "-1"),
        (TranscoderSettings, "MAX_WIDTH", "16384"),
        (TranscoderSettings, "BUDGET", "0"),
        (TranscoderSettings, "SOURCE_MAX_BYTES", "0"),
        (TranscoderSettings, "FRAMES", "0"),
        (TranscoderSettings, "WORKERS", "-1"),
        (TranscoderSettings, "RENDER_SECONDS", "0.4"),
        (TranscoderSettings, "RENDER_MEMORY", "1000"),
        (FetcherSettings, "HOST_RATE", "-1"),
        (FetcherSettings, "FEED_MAX_BYTES", "0"),
        (FetcherSettings, "FEED_SECONDS", "0"),
        (ApiSettings, "HTTP_PORT", "65536"),
        (ApiSettings, "REQUESTS_PER_MINUTE", "0"),
        (ApiSettings, "KEEP_RECORDS_DAYS", "-1"),
    ],
)
def test_a_number_that_cannot_work_is_refused(kind: type[Settings], name: str, value: str) -> None:
    with pytest.raises(Misconfigured, match=rf"^HALFTONE_{name} is '{value}': expected [^\n]+$"):
        load(kind, {f"HALFTONE_{name}": value})


@pytest.mark.parametrize("kind", [ApiSettings, FetcherSettings, TranscoderSettings, UploaderSettings])
def test_every_service_starts_with_no_setting_at_all(kind: type[Settings]) -> None:
    assert load(kind, {}).concurrency == 0
    assert importlib.import_module(kind.__module__).__doc__
