"""A source that knows some prices is found; honest ones are not suspected."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from price_fusion.parameters import LeakParameters
from price_fusion.selection.leaks.sources import find_informed_sources, warn_of_sources
from support.aligned import aligned

from .conftest import LEAKY, Shop

LEAKS = LeakParameters()
ROWS = 2_000


def suspects(shop: Shop, **parameters: Any) -> dict[tuple[str, str], dict[str, Any]]:
    report = find_informed_sources(
        shop.samples, shop.split_table, shop.tables, LEAKS.model_copy(update=parameters), seed=1
    )
    return {(check["source"], check["check"]): check for check in report["checks"] if check["is_suspect"]}


def stretch(start: int, share: float = 0.3, rows: int = ROWS) -> np.ndarray:
    places = np.arange(rows)
    return (places >= start) & (places < start + share * rows)


def scattered(seed: int, share: float = 0.3, rows: int = ROWS) -> np.ndarray:
    return np.random.default_rng(seed).random(rows) < share


@pytest.mark.parametrize("seed", range(2))
def test_prices_of_a_stretch_of_products_are_found_with_their_place(make_shop: Callable[..., Shop], seed: int) -> None:
    found = suspects(make_shop(seed, stretch(500)))
    assert {source for source, _ in found} == {LEAKY}
    check = found[LEAKY, "better on rows"]
    assert check["where"].endswith("the products' file")
    assert check["effect_points"] > 8
    first, last = (int(part.replace(",", "")) for part in check["where"].split(" of ")[0].split(" to "))
    # Without the holdout, a fifth, the stretch is 400 to 880 of 1,600; blocks are of 80.
    assert abs(first - 400) < 170
    assert abs(last - 880) < 170


@pytest.mark.parametrize("seed", range(2))
def test_prices_of_scattered_products_are_found(make_shop: Callable[..., Shop], seed: int) -> None:
    found = suspects(make_shop(seed, scattered(seed)))
    assert {source for source, _ in found} == {LEAKY}
    assert found[LEAKY, "knows what others miss"]["effect_points"] > 8


@pytest.mark.parametrize("seed", range(2))
def test_honest_sources_are_not_suspected(make_shop: Callable[..., Shop], seed: int) -> None:
    assert not suspects(make_shop(seed))


def test_a_stretch_in_the_embeddings_file_is_found_there(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(1)
    by_file = np.empty(ROWS, dtype=bool)
    by_file[:] = stretch(0)[shop.tables[LEAKY].rows_of(shop.samples["sample_id"].to_numpy())]
    found = suspects(make_shop(1, by_file))
    assert found[LEAKY, "better on rows"]["where"].endswith("the embeddings' file")


def test_a_source_that_knows_all_prices_is_best_by_far(make_shop: Callable[..., Shop]) -> None:
    assert (LEAKY, "best by far") in suspects(make_shop(2, np.ones(ROWS, dtype=bool), strength=1.0))


def test_declared_products_are_reported_and_not_warned_of(
    make_shop: Callable[..., Shop], caplog: pytest.LogCaptureFixture
) -> None:
    leaked = scattered(4)
    shop = make_shop(4, leaked)
    shop.split_table["tuned_on"] = leaked
    report = find_informed_sources(shop.samples, shop.split_table, shop.tables, LEAKS, seed=1)
    declared = {check["source"]: check for check in report["checks"] if check["check"] == "better where tuned on"}
    assert declared[LEAKY]["is_suspect"]
    assert not declared["sound"]["is_suspect"]
    only_declared = report | {"checks": list(declared.values())}
    with caplog.at_level(logging.WARNING):
        warn_of_sources(only_declared)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    with caplog.at_level(logging.WARNING):
        warn_of_sources(report)
    assert "source 'words' may leak prices: knows what others miss" in caplog.text
    assert "tuned_on_ids: true" in caplog.text


def test_prices_of_the_holdout_are_not_looked_at(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(5)
    held_out = shop.split_table["split"] == "holdout"
    changed = shop.samples.assign(price=shop.samples["price"].where(~held_out, 1e6))
    before, after = (
        find_informed_sources(samples, shop.split_table, shop.tables, LEAKS, seed=1)
        for samples in (shop.samples, changed)
    )
    assert before == after


def test_of_products_that_belong_together_one_is_looked_at(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(6)
    shop.samples["group_key"] = np.arange(ROWS) // 2
    usable = shop.samples[shop.split_table["split"] != "holdout"]
    report = find_informed_sources(shop.samples, shop.split_table, shop.tables, LEAKS, seed=1)
    assert report["rows"] == usable["group_key"].nunique()


def test_ids_may_be_text(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(7)
    named = shop.samples.assign(sample_id="B" + shop.samples["sample_id"].astype(str))
    rows = {name: table.rows_of(shop.samples["sample_id"].to_numpy()) for name, table in shop.tables.items()}
    named, tables = aligned(named, shop.tables, **rows)
    assert find_informed_sources(named, shop.split_table, tables, LEAKS, seed=1)["checks"]


def test_too_few_products_give_no_verdict(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(8, rows=150)
    report = find_informed_sources(shop.samples, shop.split_table, shop.tables, LEAKS, seed=1)
    assert report["checks"] == []


def test_of_two_sources_the_one_that_knows_is_found(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(10, stretch(500))
    del shop.tables["sound"]
    assert {source for source, check in suspects(shop) if check == "better on rows"} == {LEAKY}


def test_one_source_alone_is_only_asked_for_its_smape(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(9, np.ones(ROWS, dtype=bool), strength=2.0)
    tables = {LEAKY: shop.tables[LEAKY]}
    report = find_informed_sources(shop.samples, shop.split_table, tables, LEAKS, seed=1)
    assert [check["check"] for check in report["checks"]] == ["best by far"]
    assert report["checks"][0]["is_suspect"] == (report["smape"][LEAKY] < LEAKS.least_smape)


@pytest.mark.slow
def test_fifty_honest_shops_raise_at_most_two_suspicions(make_shop: Callable[..., Shop]) -> None:
    suspected = [seed for seed in range(100, 150) if suspects(make_shop(seed))]
    assert len(suspected) <= 2, suspected


@pytest.mark.slow
@pytest.mark.parametrize("where", [stretch, scattered])
def test_leaks_are_found_in_at_least_nineteen_of_twenty_shops(
    make_shop: Callable[..., Shop], where: Callable[[int], np.ndarray]
) -> None:
    found = [{source for source, _ in suspects(make_shop(seed, where(seed)))} for seed in range(200, 220)]
    assert sum(sources == {LEAKY} for sources in found) >= 19, found
