"""The leaderboard: right numbers for variants that can be compared, a refusal that names the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest
from rich.console import Console

from price_fusion.console.leaderboard_tables import leaderboard_table, variants_table
from price_fusion.data.table import EmbeddingTable
from price_fusion.datasets.safe_csv import SafeCSVDataset
from price_fusion.errors import ComparisonError
from price_fusion.metrics.price_metrics import price_metrics
from price_fusion.parameters import ComparisonParameters, TrainParameters, VariantParameters
from price_fusion.pipelines.comparison.nodes import describe_contender, measure_baselines, rank
from price_fusion.runs.journal import NodeTime
from price_fusion.runs.summary import RunSummary
from price_fusion.selection.comparison import Contender
from price_fusion.training.recipe import data_fingerprints
from support.prices import SAVED

if TYPE_CHECKING:
    from price_fusion.models.checkpoint import Checkpoint

HISTORY = [{"epoch": 1, "seconds": 3.0}, {"epoch": 2, "seconds": 1.0}, {"epoch": 3, "seconds": 2.0}]
COMPARISON = ComparisonParameters(resamples=300, boosting_rounds=3, boosting_threads=1)
ROWS, TRAIN = 120, 70


@dataclass
class Data:
    """Products, their split, and the tables of the tiny sources."""

    samples: pd.DataFrame
    split_table: pd.DataFrame
    tables: dict[str, EmbeddingTable]

    def results(self, error: float) -> pd.DataFrame:
        """An evaluation in which each price is off by a factor."""
        held_out = self.samples[(self.split_table["split"] == "holdout").to_numpy()]
        noise = np.random.default_rng(1).choice([1 - error, 1 + error], size=len(held_out))
        frame = held_out[["sample_id", "price"]].reset_index(drop=True)
        return frame.assign(predicted=frame["price"] * noise)


NO_REPORTS = Path("no reports")


@pytest.fixture
def data(make_table: Callable[..., EmbeddingTable]) -> Data:
    generator = np.random.default_rng(2)
    ids = np.arange(ROWS) + 1_000
    samples = pd.DataFrame(
        {
            "sample_id": ids,
            "price": np.exp(generator.normal(3, 1, size=ROWS)),
            "group_key": ids // 2,
        }
    )
    split = ["train"] * TRAIN + ["validation"] * 20 + ["holdout"] * (ROWS - TRAIN - 20)
    return Data(
        samples,
        pd.DataFrame({"sample_id": ids, "split": split}),
        {
            "picture": make_table(ids, generator.normal(size=(ROWS, 5)), source="picture"),
            "words": make_table(ids, generator.normal(size=(ROWS, 9)), source="words", structural_columns=3),
        },
    )


@pytest.fixture
def describe(data: Data, make_checkpoint: Callable[..., Checkpoint]) -> Callable[..., Contender]:
    """A function that makes a contender whose files fit, but for what the arguments change."""

    def make(name: str, error: float = 0.1, results: pd.DataFrame | None = None, **header: Any) -> Contender:
        fingerprints = data_fingerprints(data.samples, data.split_table, data.tables)
        checkpoint = make_checkpoint(**({"variant": name, "data": fingerprints} | header))
        declared = VariantParameters(
            sources=("picture", "words"), model=make_checkpoint().header.model, train=TrainParameters()
        )
        evaluated = data.results(error) if results is None else results
        return describe_contender(
            checkpoint, HISTORY, evaluated, declared, data.samples, data.split_table, *data.tables.values()
        )

    return make


@pytest.fixture
def baselines(data: Data) -> pd.DataFrame:
    return measure_baselines(data.samples, data.split_table, COMPARISON, 3, *data.tables.values())


def test_a_contender_says_how_it_was_trained(
    describe: Callable[..., Contender], make_checkpoint: Callable[..., Checkpoint]
) -> None:
    from price_fusion.models.build import PriceModel

    header = make_checkpoint().header
    one = describe("tiny")
    expected = sum(weight.numel() for weight in PriceModel(header.sources, header.model).parameters())
    assert one.parameters == expected < sum(weight.numel() for weight in make_checkpoint().weights.values())
    assert (one.seconds_per_epoch, one.epochs, one.best_epoch, one.problems) == (2.0, 3, 3, ())


def test_ranks_variants_and_baselines(data: Data, describe: Callable[..., Contender], baselines: pd.DataFrame) -> None:
    contenders = [describe("far", error=0.5), describe("near", error=0.1), describe("twin", error=0.1)]
    table, document, said = rank(
        baselines, data.samples, data.split_table, COMPARISON, 3, SAVED, {}, NO_REPORTS, *contenders
    )
    assert table["model"].tolist()[:3] == ["near", "twin", "far"]
    assert set(table["model"][3:]) == set(baselines.columns[2:])
    assert table["smape"].is_monotonic_increasing
    assert set(table["rows"]) == {30}
    far = table.set_index("model").loc["far"]
    results = data.results(0.5)
    expected = price_metrics(results["predicted"].to_numpy(), results["price"].to_numpy())
    assert {key: far[key] for key in expected} == pytest.approx(expected)
    assert far["smape_low"] < far["smape"] < far["smape_high"]
    assert 0 < far["behind_best_low"] < far["behind_best"] < far["behind_best_high"]
    assert far["reversed"] == 0
    assert table.loc[1, ["behind_best", "behind_best_low", "behind_best_high", "reversed"]].tolist() == [0, 0, 0, 1]
    assert document["groups"] == 15
    assert document["models"][-1]["parameters"] is None
    assert document["models"][0] | {"reversed": None, "epochs": 3, "best_epoch": 3} == document["models"][0]
    assert said[0].startswith("best: near, SMAPE ")
    assert said[0].endswith("not significantly different from it: twin")


def test_the_table_is_100_columns_wide_and_the_last_that_is_printed(
    data: Data, describe: Callable[..., Contender], baselines: pd.DataFrame, tmp_path: Path
) -> None:
    one = replace(describe("hierarchical"), parameters=13_464_070, epochs=120, best_epoch=105, seconds_per_epoch=12.34)
    contenders = [one, describe("far", error=0.5)]
    table, _, _ = rank(baselines, data.samples, data.split_table, COMPARISON, 3, SAVED, {}, NO_REPORTS, *contenders)
    console = Console(width=100)
    with console.capture() as captured:
        console.print(leaderboard_table(table))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) == 5 + len(table)  # no cell is wrapped; the last line says what the letter stands for
    assert lines[-1].rstrip() == "A: picture, words"
    with console.capture() as captured:
        console.print(variants_table(table))
    lines = captured.get().splitlines()
    assert max(map(len, lines)) <= 100
    assert len(lines) == 4 + 2
    assert "hierarchical 13.5 M 12 120 (105) ridge" in " ".join(captured.get().split())
    SafeCSVDataset(filepath=tmp_path / "leaderboard.csv").save(table)
    loaded = pd.read_csv(tmp_path / "leaderboard.csv")
    with console.capture() as again:
        console.print(leaderboard_table(table), variants_table(table))
    with console.capture() as captured:
        console.print(leaderboard_table(loaded), variants_table(loaded))
    assert captured.get() == again.get()
    summary = RunSummary([NodeTime("rank", ["leaderboard"], 1.0, None)])
    summary.add_path("leaderboard", Path("/somewhere/leaderboard.csv"))
    summary.add("leaderboard", loaded)
    with console.capture() as captured:
        summary.print(console)
    assert captured.get().index("/somewhere/leaderboard.csv") < captured.get().index("Leaderboard on 30 holdout rows")


def test_refuses_all_that_is_stale_at_once_and_says_what_to_run(
    data: Data, describe: Callable[..., Contender], baselines: pd.DataFrame, make_checkpoint: Callable[..., Checkpoint]
) -> None:
    other = make_checkpoint("concat").header.model
    fingerprints = data_fingerprints(data.samples, data.split_table, data.tables)
    contenders = [
        describe("fine"),
        describe("retrain", data=fingerprints | {"split": "0f"}),
        describe("reevaluate", results=data.results(0.1).iloc[1:]),
        describe("repriced", results=data.results(0.1).assign(price=1.0)),
    ]
    with pytest.raises(ComparisonError) as caught:
        rank(baselines.iloc[::-1], data.samples, data.split_table, COMPARISON, 3, SAVED, {}, NO_REPORTS, *contenders)
    message = str(caught.value)
    assert message.startswith("4 file(s)")
    assert "fine." not in message
    assert "retrain.checkpoint: trained with other data (split); run: kedro run --pipelines train_retrain" in message
    assert "reevaluate.evaluation_results: of other rows" in message
    assert "(29 rows); run: kedro run --pipelines evaluate_reevaluate" in message
    assert "repriced.evaluation_results" in message
    assert "baseline_results: of other rows" in message
    assert other != make_checkpoint().header.model


def test_refuses_a_checkpoint_of_another_composition(
    data: Data, describe: Callable[..., Contender], make_checkpoint: Callable[..., Checkpoint]
) -> None:
    header = make_checkpoint().header
    changed = header.model.model_copy(
        update={"branch": header.model.branch.model_copy(update={"learned_scale": False})}
    )
    assert describe("tiny").problems == ()
    declared = VariantParameters(sources=("words", "picture"), model=changed, train=TrainParameters())
    checkpoint = make_checkpoint(data={source: table.fingerprint for source, table in data.tables.items()})
    one = describe_contender(
        checkpoint, HISTORY, data.results(0.1), declared, data.samples, data.split_table, *data.tables.values()
    )
    assert len(one.problems) == 1
    assert "sources picture, words (declared: words, picture)" in one.problems[0]
    assert "another composition than the declared one" in one.problems[0]
    assert "other data (samples, split)" in one.problems[0]


def test_each_variant_is_held_against_a_ridge_of_its_own_sources(
    data: Data, describe: Callable[..., Contender]
) -> None:
    variants = {"all": ("picture", "words"), "few": ("picture",), "twin": ("picture",)}
    tables = data.tables.values()
    baselines = measure_baselines(data.samples, data.split_table, COMPARISON, 3, *tables, variants=variants)
    alone = measure_baselines(data.samples, data.split_table, COMPARISON, 3, data.tables["picture"])
    ridge = "ridge of few's sources"
    np.testing.assert_allclose(baselines[ridge], alone["ridge"], rtol=1e-5)
    assert not np.allclose(baselines["ridge"], alone["ridge"])
    contenders = [replace(describe(name, error=0.3), sources=sources) for name, sources in variants.items()]
    table, _, _ = rank(baselines, data.samples, data.split_table, COMPARISON, 3, SAVED, {}, NO_REPORTS, *contenders)
    found = table.set_index("model")
    assert found.loc[[*variants, ridge, "ridge", "median"], "sources"].tolist() == [
        "picture, words",
        "picture",
        "picture",
        "picture",
        "picture, words",
        "",
    ]
    assert found.loc[list(variants), "own_ridge"].tolist() == ["ridge", ridge, ridge]
    few = found.loc["few"]
    assert few["behind_ridge"] == pytest.approx(few["smape"] - found.loc[ridge, "smape"])
    assert few["behind_ridge_low"] < few["behind_ridge"] < few["behind_ridge_high"]
    assert found.drop(index=list(variants))[["own_ridge", "behind_ridge"]].isna().all(axis=None)
    with pytest.raises(
        ComparisonError,
        match="baseline_results: without ridge of few's sources; run: kedro run --pipelines compare --nodes",
    ):
        rank(
            baselines.drop(columns=ridge),
            data.samples,
            data.split_table,
            COMPARISON,
            3,
            SAVED,
            {},
            NO_REPORTS,
            *contenders,
        )
