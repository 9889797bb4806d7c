"""Metrics: named by Prometheus' conventions, each explained, each used."""

import re
from pathlib import Path
from typing import Any, cast

import pytest
from prometheus_client import REGISTRY, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

from shared import metrics

ROOT = Path(__file__).parents[2]
NAMES = {name: metric for name, metric in vars(metrics).items() if isinstance(metric, MetricWrapperBase)}
BASE_UNITS = ("_seconds", "_bytes")


def family(metric: MetricWrapperBase) -> tuple[str, str, tuple[str, ...]]:
    """Return its full name, its explanation and its labels."""
    [described] = metric.describe()
    name = f"{described.name}_total" if isinstance(metric, Counter) else described.name
    return name, described.documentation, tuple(cast("Any", metric)._labelnames)


FAMILIES = {name: family(metric) for name, metric in NAMES.items()}


@pytest.mark.parametrize("metric", NAMES)
def test_a_name_is_halftones_and_in_snake_case(metric: str) -> None:
    assert re.fullmatch(r"halftone(_[a-z]+)+", FAMILIES[metric][0])


@pytest.mark.parametrize("metric", NAMES)
def test_only_counters_end_in_total_and_histograms_in_a_base_unit(metric: str) -> None:
    name, _, _ = FAMILIES[metric]
    kind = NAMES[metric]
    assert name.endswith("_total") == isinstance(kind, Counter)
    assert not isinstance(kind, Histogram) or name.endswith(BASE_UNITS)
    assert not isinstance(kind, Gauge) or not name.endswith(("_count", "_sum", "_bucket"))
    assert not re.search(r"_(ms|milliseconds|kb|mb|minutes)(_|$)", name)


@pytest.mark.parametrize("metric", NAMES)
def test_an_explanation_is_a_sentence_that_names_the_labels(metric: str) -> None:
    _, explanation, labels = FAMILIES[metric]
    assert explanation.endswith(".")
    assert explanation[0].isupper() or explanation[0].isdigit()
    assert all(re.fullmatch(r"[a-z]+", label) for label in labels)


def test_no_two_metrics_share_a_name_or_an_explanation() -> None:
    assert len({name for name, _, _ in FAMILIES.values()}) == len(FAMILIES)
    assert len({explanation for _, explanation, _ in FAMILIES.values()}) == len(FAMILIES)


@pytest.mark.parametrize("metric", NAMES)
def test_every_metric_is_used(metric: str) -> None:
    sources = [path for folder in ("shared", "services") for path in (ROOT / folder).rglob("*.py")]
    assert sum(len(re.findall(rf"\b{metric}\b", path.read_text(encoding="utf-8"))) for path in sources) > 1


def test_every_stage_that_is_timed_is_explained() -> None:
    sources = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "services").rglob("*.py"))
    timed = set(re.findall(r'metrics\.stage\("(\w+)"\)', sources))
    _, explanation, _ = FAMILIES["STAGES"]
    explained = set(re.findall(r"\w+", explanation.partition(":")[2]))
    assert timed == explained


def test_the_exposition_can_be_read_back() -> None:
    families = [found.name for found in text_string_to_metric_families(generate_latest(REGISTRY).decode())]
    assert len(families) == len(set(families))


def test_a_stopwatch_stands_still_once_its_stage_is_over() -> None:
    with metrics.stage("poll") as watch:
        pass
    first = watch.ms
    assert (watch.ms, first >= 0) == (first, True)


def test_a_stage_that_fails_is_timed_too() -> None:
    count = REGISTRY.get_sample_value
    before = count("halftone_stage_seconds_count", {"stage": "poll"}) or 0
    with pytest.raises(ZeroDivisionError), metrics.stage("poll"):
        raise ZeroDivisionError
    assert count("halftone_stage_seconds_count", {"stage": "poll"}) == before + 1


def test_only_a_message_that_comes_again_is_a_redelivery() -> None:
    count = REGISTRY.get_sample_value
    for tries in (1, 2, 3):
        metrics.message_received("someone", tries)
    assert count("halftone_redeliveries_total", {"actor": "someone"}) == 2


def test_messages_in_hand_are_counted_while_they_are() -> None:
    count = REGISTRY.get_sample_value
    with metrics.in_hand("someone"), metrics.in_hand("someone"):
        assert count("halftone_messages_in_hand", {"actor": "someone"}) == 2
    assert count("halftone_messages_in_hand", {"actor": "someone"}) == 0
