"""Weighted rendezvous hashing."""

from collections import Counter

from services.uploader.choice import ranking

CONTENTS = [f"{number:032x}" for number in range(20_000)]
WEIGHTS = {"a": 1.0, "b": 1.0, "c": 2.0, "d": 4.0}


def first(weights: dict[str, float]) -> list[str]:
    return [ranking(content, weights.items())[0] for content in CONTENTS]


def test_the_same_content_gets_the_same_ranking_in_any_order_of_accounts() -> None:
    assert ranking("00", WEIGHTS.items()) == ranking("00", reversed(WEIGHTS.items()))


def test_every_account_is_in_the_ranking_once() -> None:
    assert sorted(ranking("00", WEIGHTS.items())) == sorted(WEIGHTS)


def test_every_account_gets_its_share_by_weight() -> None:
    shares = Counter(first(WEIGHTS))
    for name, weight in WEIGHTS.items():
        assert abs(shares[name] / len(CONTENTS) - weight / 8) < 0.01


def test_a_lost_account_moves_only_its_own_share() -> None:
    before = first(WEIGHTS)
    after = first({name: weight for name, weight in WEIGHTS.items() if name != "c"})
    assert {old for old, new in zip(before, after, strict=True) if old != new} == {"c"}


def test_more_weight_only_attracts() -> None:
    moved = [new for old, new in zip(first(WEIGHTS), first(WEIGHTS | {"a": 3.0}), strict=True) if old != new]
    assert set(moved) == {"a"}


def test_no_accounts_make_an_empty_ranking() -> None:
    assert ranking("00", []) == []
