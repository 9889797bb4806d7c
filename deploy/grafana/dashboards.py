"""The dashboards as code: `python deploy/grafana/dashboards.py` writes them as the JSON that Grafana loads.

A dashboard is a table of panels: title, unit, and what it asks Prometheus, query → legend.
"""

import json
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent / "dashboards"
WIDTH, HEIGHT, COLUMNS = 8, 7, 3  # of a panel in Grafana's grid of 24

Panel = tuple[str, str, dict[str, str]]


def rate(counter: str, *by: str, where: str = "") -> str:
    """Return the counter's increase per second, summed but for the labels `by`."""
    return f"sum by ({', '.join(by)}) (rate({counter}{where}[$__rate_interval]))"


def quantile(share: float, *stages: str) -> str:
    """Return how long the given share of each stage takes at the most."""
    within = f'halftone_stage_seconds_bucket{{stage=~"{"|".join(stages)}"}}'
    return f"histogram_quantile({share}, sum by (stage, le) (rate({within}[$__rate_interval])))"


def times(title: str, *stages: str) -> Panel:
    """Return the panel of some stages' median and 95th percentile."""
    return title, "s", {quantile(0.5, *stages): "{{stage}} median", quantile(0.95, *stages): "{{stage}} 95 %"}


UPLOADS = rate("halftone_uploads_total", "account")
FAILED_UPLOADS = rate("halftone_uploads_total", "account", where='{result="failed"}')

DASHBOARDS: dict[str, tuple[str, list[Panel]]] = {
    "overview": (
        "Halftone: overview",
        [
            ("Records completed", "reqps", {rate("halftone_records_total", "result"): "{{result}}"}),
            ("Images settled", "reqps", {rate("halftone_images_total", "result"): "{{result}}"}),
            ("Polls", "reqps", {rate("halftone_polls_total", "result"): "{{result}}"}),
            ("Messages waiting", "short", {"max by (consumer) (halftone_queue_waiting)": "{{consumer}}"}),
            ("Age of the oldest message", "s", {"max by (consumer) (halftone_queue_oldest_seconds)": "{{consumer}}"}),
            ("Messages in hand", "short", {"sum by (actor) (halftone_messages_in_hand)": "{{actor}}"}),
            ("Dead letters", "short", {"max(halftone_dead_letters)": "waiting for somebody"}),
            ("Accounts that can take objects", "short", {"max(halftone_accounts_able)": "accounts"}),
            ("Replicas up", "short", {"sum by (job) (up)": "{{job}}"}),
            ("CPU", "short", {rate("process_cpu_seconds_total", "job"): "{{job}}"}),
            ("Memory", "bytes", {"sum by (job) (process_resident_memory_bytes)": "{{job}}"}),
            (
                "Versions",
                "short",
                {"count by (service, version, revision) (halftone_build_info)": "{{service}} {{version}}"},
            ),
        ],
    ),
    "images": (
        "Halftone: images",
        [
            ("Settled", "reqps", {rate("halftone_images_total", "result"): "{{result}}"}),
            ("Failures by step", "reqps", {rate("halftone_image_failures_total", "step"): "{{step}}"}),
            (
                "Tries to download, by way and status",
                "reqps",
                {rate("halftone_downloads_total", "way", "status"): "{{way}} {{status}}"},
            ),
            times("An image from job to URL", "image"),
            times("Download", "download"),
            times("Decode and encode", "decode", "encode"),
            times("Upload, as the transcoder waits for it", "upload"),
            (
                "Bytes in and out",
                "Bps",
                {rate("halftone_source_bytes_total"): "in", rate("halftone_rendition_bytes_total"): "out"},
            ),
            (
                "Renditions' size of their sources'",
                "percentunit",
                {f"{rate('halftone_rendition_bytes_total')} / {rate('halftone_source_bytes_total')}": "out / in"},
            ),
            (
                "Images in hand, by transcoder",
                "short",
                {'halftone_messages_in_hand{actor="transcoder"}': "{{instance}}"},
            ),
            (
                "Images per second, by transcoder",
                "reqps",
                {rate("halftone_messages_total", "instance", where='{actor="transcoder"}'): "{{instance}}"},
            ),
            (
                "CPU, by transcoder",
                "short",
                {rate("process_cpu_seconds_total", "instance", where='{job="transcoder"}'): "{{instance}}"},
            ),
        ],
    ),
    "accounts": (
        "Halftone: storage accounts",
        [
            ("Uploads", "reqps", {rate("halftone_uploads_total", "account", "result"): "{{account}} {{result}}"}),
            (
                "Share of uploads that fail",
                "percentunit",
                {f"({FAILED_UPLOADS} or 0 * {UPLOADS}) / {UPLOADS}": "{{account}}"},
            ),
            ("Accounts that can take objects", "short", {"max(halftone_accounts_able)": "accounts"}),
            ("Breaker (1: open)", "short", {"max by (account) (halftone_account_breaker_open)": "{{account}}"}),
            ("Bytes stored", "bytes", {"max by (account) (halftone_account_bytes)": "{{account}}"}),
            times("Time to store", "store"),
            ("Disk left", "bytes", {"min by (job) (halftone_data_free_bytes > 0)": "{{job}}"}),
        ],
    ),
    "fetching": (
        "Halftone: fetching",
        [
            ("Polls", "reqps", {rate("halftone_polls_total", "result"): "{{result}}"}),
            ("Articles", "reqps", {rate("halftone_articles_total", "kind"): "{{kind}}"}),
            ("Bytes of feeds", "Bps", {rate("halftone_feed_bytes_total"): "inflated"}),
            times("HTTP exchange", "poll"),
            times("Parse and discover", "parse"),
            times("Assemble a record", "assemble"),
            ("Feeds due that wait", "short", {'max(halftone_queue_waiting{consumer="fetcher"})': "feeds"}),
            ("Age of the oldest feed due", "s", {'max(halftone_queue_oldest_seconds{consumer="fetcher"})': "age"}),
            ("Polls in hand", "short", {'halftone_messages_in_hand{actor="fetcher"}': "{{instance}}"}),
        ],
    ),
    "broker": (
        "Halftone: broker",
        [
            ("Connected replicas", "short", {"sum by (job) (halftone_bus_connected)": "{{job}}"}),
            ("Messages settled", "reqps", {rate("halftone_messages_total", "actor", "result"): "{{actor}} {{result}}"}),
            ("Redeliveries", "reqps", {rate("halftone_redeliveries_total", "actor"): "{{actor}}"}),
            ("Calls tried again", "reqps", {rate("halftone_bus_retries_total", "job"): "{{job}}"}),
            ("Errors reported", "reqps", {rate("halftone_bus_errors_total", "job"): "{{job}}"}),
            ("Waiting", "short", {"max by (consumer) (halftone_queue_waiting)": "{{consumer}}"}),
            ("Handed out, not settled", "short", {"max by (consumer) (halftone_queue_unsettled)": "{{consumer}}"}),
            ("Messages in streams", "short", {"max by (stream) (halftone_stream_messages)": "{{stream}}"}),
            ("Bytes of streams", "bytes", {"max by (stream) (halftone_stream_bytes)": "{{stream}}"}),
            (
                "Storage",
                "bytes",
                {"max(halftone_broker_storage_bytes)": "used", "max(halftone_broker_storage_limit_bytes)": "limit"},
            ),
        ],
    ),
}


def panel(number: int, title: str, unit: str, queries: dict[str, str]) -> dict[str, Any]:
    """Return one panel, the `number`-th of its dashboard."""
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": title,
        "datasource": {"type": "prometheus", "uid": "prometheus"},
        "gridPos": {"w": WIDTH, "h": HEIGHT, "x": number % COLUMNS * WIDTH, "y": number // COLUMNS * HEIGHT},
        "fieldConfig": {"defaults": {"unit": unit, "min": 0}, "overrides": []},
        "options": {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi"}},
        "targets": [
            {"refId": chr(ord("A") + letter), "expr": expression, "legendFormat": legend}
            for letter, (expression, legend) in enumerate(queries.items())
        ],
    }


def dashboard(uid: str, title: str, panels: list[Panel]) -> dict[str, Any]:
    """Return one dashboard in Grafana's JSON model (schema 39)."""
    return {
        "uid": f"halftone-{uid}",
        "title": title,
        "tags": ["halftone"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "links": [{"type": "dashboards", "tags": ["halftone"], "title": "Halftone", "asDropdown": False}],
        "panels": [panel(number, *one) for number, one in enumerate(panels)],
    }


def main() -> None:
    """Write all of them."""
    FOLDER.mkdir(exist_ok=True)
    for uid, (title, panels) in DASHBOARDS.items():
        text = json.dumps(dashboard(uid, title, panels), indent=1, ensure_ascii=False)
        (FOLDER / f"{uid}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
