"""The command line: `halftone up`, `fetch`, `demo`, one service alone, and the tools of whoever runs it."""

import os
import sys
from collections.abc import Coroutine, Sequence
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter, Token
from cyclopts.validators import Number

from shared.errors import HalftoneError
from shared.version import version

app = App(
    name="halftone",
    help="Feeds in, articles out whose images always load.",
    version=version,
    version_flags=["--version"],
    default_parameter=Parameter(negative=()),
)


def _check_host(_: Any, host: str) -> None:
    if not host.strip():
        raise ValueError("an empty host would be every address: say 0.0.0.0 if that is meant")


def _data(_: Any, tokens: Sequence[Token]) -> Path:
    if not tokens[0].value.strip():
        raise ValueError("an empty data directory would be the current one: say . if that is meant")
    return Path(tokens[0].value)


Data = Annotated[Path, Parameter(help="Data directory.", env_var="HALFTONE_DATA", converter=_data)]
AllowHost = Annotated[
    tuple[str, ...],
    Parameter(
        name="--allow-host",
        help="HOST:PORT that may be fetched from although it is not public; may be repeated.",
    ),
]
All = Annotated[bool, Parameter(name="--all")]
Retention = Annotated[
    float,
    Parameter(
        help="Days that an object is kept after its bytes were last uploaded.",
        env_var="HALFTONE_RETENTION_DAYS",
        validator=Number(gte=1),
    ),
]
Delete = Annotated[bool, Parameter(help="Remove them.")]
Scope = Literal["read", "write", "admin"]
Port = Annotated[int, Parameter(validator=Number(gte=1, lte=65_535))]
Host = Annotated[str, Parameter(validator=_check_host)]
Quality = Annotated[int, Parameter(validator=Number(gte=1, lte=100))]
Width = Annotated[int, Parameter(validator=Number(gte=1, lte=16_383))]  # WebP's own limit
Budget = Annotated[int, Parameter(validator=Number(gte=1000))]
LetterNumber = Annotated[int, Parameter(validator=Number(gte=1, lt=2**63))]  # the broker counts in 64 bits
TokenNumber = Annotated[int, Parameter(validator=Number(gte=1, lt=2**31))]  # the database counts in 32

DEFAULT_DATA = Path("data")
STOPPED = 130  # exit code of a command that Ctrl-C cut short, as shells have it


def main() -> None:
    """Run the command that the arguments name; every failure ends in one line and exit code 1."""
    try:
        app(sys.argv[1:], exit_on_error=False, print_error=False)
    except HalftoneError as error:
        sys.exit(f"halftone: {error}")
    except CycloptsError as error:
        sys.exit(f"halftone: {' '.join(str(error).split())} See halftone --help.")
    except KeyboardInterrupt:  # before there was anything to stop
        sys.exit(STOPPED)


@app.command
def up(
    *,
    data: Data = DEFAULT_DATA,
    host: Annotated[Host, Parameter(env_var="HALFTONE_HTTP_HOST")] = "127.0.0.1",
    port: Annotated[Port, Parameter(env_var="HALFTONE_HTTP_PORT")] = 8080,
    allow_host: AllowHost = (),
) -> None:
    """Run the whole system on this machine until Ctrl-C.

    Args:
        host: Address to listen on; another than loopback needs an API token.
        port: Port to listen on.
    """
    from services.standalone.forever import run_for_ever
    from services.standalone.system import Options

    options = Options(data=data, host=host, port=port, public_port=port, allow_hosts=_origins(allow_host))
    _run(run_for_ever(options), stopped=0)


@app.command
def fetch(url: str, *, data: Data = DEFAULT_DATA, allow_host: AllowHost = ()) -> None:
    """Poll a feed once: the record as JSON on stdout, the images' progress on stderr.

    Args:
        url: The feed, or a page that names one.
    """
    from services.standalone.broker import free_port
    from services.standalone.once import fetch as fetch_once
    from services.standalone.system import Options

    options = Options(data=data, port=free_port(), allow_hosts=_origins(allow_host), quiet=True)
    record = _run(fetch_once(url, options))
    sys.stdout.buffer.write(record + b"\n")


@app.command
def demo(*, data: Data = Path("data/demo"), port: Port = 8080, once: bool = False) -> None:
    """Mirror a small sample site that comes with Halftone, and leave it up to look at.

    Args:
        port: Port of the page.
        once: End when the record is complete.
    """
    from services.standalone.demo import run_demo

    _run(run_demo(data, port, once=once), stopped=0)


def _service(name: str) -> None:
    main_module = import_module(f"services.{name}.__main__")
    main_module.main()


@app.command
def fetcher() -> None:
    """Run the fetcher alone, configured by the environment."""
    _service("fetcher")


@app.command
def transcoder() -> None:
    """Run the transcoder alone, configured by the environment."""
    _service("transcoder")


@app.command
def uploader() -> None:
    """Run the uploader alone, configured by the environment."""
    _service("uploader")


@app.command
def api() -> None:
    """Run the api alone, configured by the environment."""
    _service("api")


@app.command
def transcode(
    source: Path,
    destination: Path,
    *,
    quality: Quality = 75,
    max_width: Width | None = None,
    budget: Budget = 20_000_000,
) -> None:
    """Turn one image file into a WebP and print its figures.

    Args:
        source: The image.
        destination: The WebP to write.
        quality: libwebp's lossy quality, 1 to 100.
        max_width: Widest rendition in pixels.
        budget: Most bytes of the rendition.
    """
    from services.standalone.transcode_file import transcode_file
    from services.transcoder import RenderOptions

    transcode_file(source, destination, RenderOptions(quality=quality, max_width=max_width, budget=budget))


@app.command
def provision(
    *, data: Data = DEFAULT_DATA, replicas: int = 1, subscriber: tuple[str, ...] = (), dry_run: bool = False
) -> None:
    """Make the broker's streams, consumers and buckets; print what was made (+) or changed (~).

    Args:
        replicas: Copies of each stream in a cluster: 1, 3 or 5.
        subscriber: Name of an outside reader of the events who gets a durable consumer; may be repeated.
        dry_run: Only print.
    """
    from services.standalone.provision import run_provision

    _run(run_provision(data, replicas=replicas, subscribers=subscriber, dry=dry_run))


@app.command
def broker_url(*, data: Data = DEFAULT_DATA) -> None:
    """Print the URL of the broker that `halftone up` started, with its credentials, for subscribers to events."""
    from services.standalone.administration import show_broker_url

    show_broker_url(data)


accounts = App(name="accounts", help="The storage accounts: a table of health, use and remaining rate.")
app.command(accounts)


@accounts.default
def show_accounts(*, data: Data = DEFAULT_DATA) -> None:
    """Print a row per account: use, capacity, writes left of its rate, health."""
    from services.standalone import accounts as storage

    _run(storage.show_accounts(data))


@accounts.command(name="check")
def check_accounts(*, data: Data = DEFAULT_DATA) -> None:
    """Write a probe into every account, read it back, fetch its public URL, remove it; print a line for each."""
    from services.standalone import accounts as storage

    _run(storage.check(data))


@app.command
def gc(*, data: Data = DEFAULT_DATA, retention: Retention = 30.0, delete: Delete = False) -> None:
    """Print the stored objects that no record refers to any more; remove them only with --delete."""
    from services.standalone.gc import collect

    _run(collect(data, retention_days=retention, delete=delete))


dlq = App(name="dlq", help="Messages that were given up: read them, give them back, drop them.")
app.command(dlq)


@dlq.command(name="list")
def list_letters(*, data: Data = DEFAULT_DATA) -> None:
    """Print a line per dead letter: number, time, subject, reason."""
    from services.standalone import dlq as letters

    _run(letters.list_letters(data))


@dlq.command
def show(number: LetterNumber, *, data: Data = DEFAULT_DATA) -> None:
    """Print one whole.

    Args:
        number: As `list` prints it.
    """
    from services.standalone import dlq as letters

    _run(letters.show_letter(data, number))


@dlq.command
def replay(*numbers: LetterNumber, everything: All = False, data: Data = DEFAULT_DATA) -> None:
    """Give letters back to whom they were for.

    Args:
        numbers: As `list` prints them.
        everything: All that there are.
    """
    from services.standalone import dlq as letters

    _run(letters.replay_letters(data, numbers, everything=everything))


@dlq.command
def drop(*numbers: LetterNumber, everything: All = False, data: Data = DEFAULT_DATA) -> None:
    """Delete letters for good.

    Args:
        numbers: As `list` prints them.
        everything: All that there are.
    """
    from services.standalone import dlq as letters

    _run(letters.drop_letters(data, numbers, everything=everything))


tokens = App(name="tokens", help="Who may use the API: without tokens it serves this machine only.")
app.command(tokens)


@tokens.command(name="new")
def new_token(name: str = "unnamed", *, scope: Scope | None = None, data: Data = DEFAULT_DATA) -> None:
    """Print a new token: it is shown this once. From the first one on, everybody needs one.

    Args:
        name: What it is for.
        scope: What it may: read, write as well, or admin, which makes tokens over HTTP, too. The first one is to be
            admin, others read, unless you say so.
    """
    from services.standalone import tokens as keys

    _run(keys.new_token(data, name, scope))


@tokens.command(name="list")
def list_tokens(*, data: Data = DEFAULT_DATA) -> None:
    """Print a line per token: number, scope, day, name."""
    from services.standalone import tokens as keys

    _run(keys.list_tokens(data))


@tokens.command
def revoke(number: TokenNumber, *, data: Data = DEFAULT_DATA) -> None:
    """Take a token's rights.

    Args:
        number: As `list` prints it.
    """
    from services.standalone import tokens as keys

    _run(keys.revoke_token(data, number))


def _origins(allowed: tuple[str, ...]) -> str:
    from shared.guard import parse_origins

    text = " ".join([*allowed, os.environ.get("HALFTONE_ALLOW_HOSTS", "")])
    parse_origins(text)  # to refuse now what the services would refuse later
    return text


def _run(work: Coroutine[Any, Any, Any], *, stopped: int = STOPPED) -> Any:
    """Return what `work` comes to; SIGINT and SIGTERM cancel it, and then `stopped` is the exit code."""
    from services.standalone.stopping import run

    return run(work, stopped=stopped)
