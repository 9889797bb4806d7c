"""Settings from the environment: each a field of a frozen Struct, `HALFTONE_` and its name in capitals."""

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import msgspec

from shared.errors import Misconfigured

PREFIX = "HALFTONE_"

Count = Annotated[int, msgspec.Meta(ge=0)]
Positive = Annotated[int, msgspec.Meta(ge=1)]
Port = Annotated[int, msgspec.Meta(ge=0, le=65535)]
Seconds = Annotated[float, msgspec.Meta(ge=0)]
Deadline = Annotated[float, msgspec.Meta(gt=0)]  # seconds: nothing gets done in none


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What every service is told; each service adds its own."""

    nats_url: str = "nats://127.0.0.1:4222"  # several, comma-separated, for a cluster
    nats_user: str = ""  # its user on the broker; empty: the broker asks for none
    nats_password: str = ""
    nats_ca: str = ""  # file with the authority that signed the broker's certificate; empty: no TLS
    instance: str = msgspec.field(default_factory=socket.gethostname)  # the name in logs, records and metrics
    ops_host: str = "127.0.0.1"  # where /metrics, /healthz and /readyz listen
    ops_port: Port = 0  # 0: any free one, told in the log
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "text"] = "json"  # text is for people at a terminal
    drain_seconds: Seconds = 8.0  # how long work in hand may take to finish after SIGTERM
    traces: str = ""  # URL of a collector that takes OpenTelemetry's traces by OTLP over HTTP; empty: none are made
    revision: str = ""  # of the sources that this was built from; images are told when they are built
    concurrency: Count = 0  # messages in hand at the most; 0: the service's own default


S = TypeVar("S", bound=Settings)


def load(kind: type[S], environment: Mapping[str, str] | None = None) -> S:
    """Return the settings that the environment gives, defaults for the rest.

    An empty value counts as none given. `HALFTONE_X_FILE` names a file that holds X: how secrets are mounted into
    containers.

    Raises:
        Misconfigured: A value does not fit its field, or a file cannot be read.
    """
    environment = os.environ if environment is None else environment
    values = {
        field.name: value
        for field in msgspec.structs.fields(kind)
        if (value := _value(PREFIX + field.name.upper(), environment))
    }
    try:
        return msgspec.convert(values, kind, strict=False, dec_hook=_path)
    except msgspec.ValidationError as error:
        raise Misconfigured(_explain(str(error), values)) from error


def _path(kind: type, value: object) -> object:
    return Path(str(value)) if kind is Path else value


def _value(name: str, environment: Mapping[str, str]) -> str | None:
    path = environment.get(f"{name}_FILE")
    if not path:
        return environment.get(name)
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Misconfigured(f"cannot read {name}_FILE {path}: {reason}") from error


def _explain(problem: str, values: Mapping[str, str]) -> str:
    """Turn msgspec's `Expected int, got str - at $.ops_port` into the setting's own name."""
    reason, _, field = problem.partition(" - at `$.")
    field = field.rstrip("`")
    if field not in values:
        return f"the settings do not fit: {problem}"
    return f"{PREFIX}{field.upper()} is {values[field]!r}: {reason[:1].lower()}{reason[1:]}"
