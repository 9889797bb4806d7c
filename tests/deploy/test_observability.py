"""A real Prometheus scrapes the services under load: its tools accept what they say, and every panel has data."""

import asyncio
import json
import math
import subprocess
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from services.standalone.broker import free_port
from tests.deploy.feeds import fill
from tests.deploy.guarded_broker import DEPLOY, guarded_broker
from tests.deploy.guarded_system import SERVICES, GuardedSystem, guarded_system
from tests.servers import running_site

DASHBOARDS = sorted((DEPLOY / "grafana" / "dashboards").glob("*.json"))
FEEDS = 6
WINDOW = "10m"  # wide enough for the whole run, however slow the machine


@contextmanager
def prometheus(folder: Path, system: GuardedSystem) -> Generator[str]:
    """Run Prometheus on the system's services; gives its URL."""
    folder.mkdir()
    jobs = [
        {"job_name": name, "static_configs": [{"targets": [url.removeprefix("http://")]}]}
        for name, url in system.ops.items()
    ]
    config = {"global": {"scrape_interval": "1s"}, "scrape_configs": jobs}
    (folder / "prometheus.yaml").write_text(json.dumps(config))  # JSON is YAML
    address = f"127.0.0.1:{free_port()}"
    command = ["prometheus", f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([*command, f"--web.listen-address={address}"], stdout=log, stderr=log)
    try:
        yield f"http://{address}"
    finally:
        process.kill()
        process.wait()


async def _work(stack: ExitStack, folder: Path) -> tuple[GuardedSystem, str]:
    """Start all in `stack` and have it work for a while."""
    broker = stack.enter_context(guarded_broker(folder / "broker"))
    async with running_site() as site:
        fill(site, FEEDS)
        system = stack.enter_context(guarded_system(broker, folder / "data", f"127.0.0.1:{site.port}"))
        url = stack.enter_context(prometheus(folder / "prometheus", system))
        await asyncio.sleep(2)
        for number in range(FEEDS):
            await system.fetch(site.url(f"/{number}/feed.xml"))
            await system.fetch(site.url(f"/{number}/no-feed.xml"))
            await asyncio.sleep(1.2)  # a rate needs what grows from one scrape to the next
        await asyncio.sleep(7)  # the services look at their queues every five seconds
        return system, url


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[GuardedSystem, str]]:
    """A system that has worked for a while, and the Prometheus that watched it."""
    with ExitStack() as stack:
        yield asyncio.run(_work(stack, tmp_path_factory.mktemp("watched")))


@pytest.mark.live
def test_promtool_finds_nothing_wrong_with_what_the_services_say(watched: tuple[GuardedSystem, str]) -> None:
    for service in SERVICES:
        said = httpx.get(f"{watched[0].ops[service]}/metrics", trust_env=False).text
        checked = subprocess.run(
            ["promtool", "check", "metrics"], check=False, input=said, text=True, capture_output=True
        )
        assert (service, checked.stdout, checked.stderr) == (service, "", "")


@pytest.mark.live
@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda path: path.stem)
def test_every_panel_has_data(watched: tuple[GuardedSystem, str], dashboard: Path) -> None:
    queries = {
        f"{panel['title']}: {target['expr']}": target["expr"].replace("$__rate_interval", WINDOW)
        for panel in json.loads(dashboard.read_text())["panels"]
        for target in panel["targets"]
    }
    assert [name for name, query in queries.items() if not _numbers(watched[1], query)] == []


def _numbers(url: str, query: str) -> list[float]:
    """Return the values that the query has now."""
    body: dict[str, Any] = httpx.get(f"{url}/api/v1/query", params={"query": query}, trust_env=False).json()
    assert body["status"] == "success", (query, body)
    values = [float(series["value"][1]) for series in body["data"]["result"]]
    return [value for value in values if not math.isnan(value)]


def test_the_dashboards_are_what_their_code_makes_them(tmp_path: Path) -> None:
    before = {path.name: path.read_text() for path in DASHBOARDS}
    code = (
        (DEPLOY / "grafana" / "dashboards.py").read_text().replace("Path(__file__).parent", f"Path({str(tmp_path)!r})")
    )
    exec(compile(code, "dashboards.py", "exec"), {"__name__": "__main__"})  # noqa: S102 - our own script
    assert {path.name: path.read_text() for path in (tmp_path / "dashboards").glob("*.json")} == before


@pytest.mark.parametrize("check", [("check", "rules", "alerts.yaml"), ("test", "rules", "alerts-test.yaml")])
def test_every_alert_fires_when_it_should_and_not_before(check: tuple[str, ...]) -> None:
    subprocess.run(["promtool", *check], cwd=DEPLOY / "prometheus", check=True, capture_output=True)


def test_every_alert_has_its_lines_in_the_runbook() -> None:
    alerts = (DEPLOY / "prometheus" / "alerts.yaml").read_text()
    names = [line.split("alert: ")[1] for line in alerts.splitlines() if "- alert: " in line]
    runbook = (DEPLOY.parent / "docs" / "operations.md").read_text()
    assert [name for name in names if f"### {name}\n" not in runbook] == []
