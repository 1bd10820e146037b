"""What sources are worth: what carries the price is worth much, noise nothing, and nothing is trained twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from price_fusion.data.columns import draft_columns
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.splits import split_samples
from price_fusion.data.table import EmbeddingTable, TableDraft, draft_table, write_table
from price_fusion.metrics.bootstrap import paired_difference
from price_fusion.metrics.price_metrics import smape_per_product
from price_fusion.models.checkpoint import Checkpoint
from price_fusion.models.features import Features, SourceFeatures
from price_fusion.models.folds import FoldFolder
from price_fusion.parameters import ColumnSourceParameters, SourceParameters, VariantParameters
from price_fusion.prediction.predictor import Predictor
from price_fusion.selection import cross_validation
from price_fusion.selection.ablation import (
    NOT_ASKED_FOR,
    NOTHING_LEFT,
    Part,
    permutable_parts,
    permutation_importance,
    permuted,
    removable_parts,
    removal,
    retraining_importance,
)
from price_fusion.selection.cross_validation import LabelledData, cross_validate_variant, out_of_fold
from price_fusion.training.loader.training_data import training_data
from price_fusion.training.run_folder import RunFolder
from price_fusion.training.trainer import train_variant
from support.aligned import aligned

ROWS = 360
SEED = 3
VECTORS = SourceParameters(width=6, group="vectors / all", structural_columns=1)
FACTS = ColumnSourceParameters(kind="columns", group="facts", numeric=("size", "shade"), categorical=("unit",))
UNKNOWN_ROW = 7
"""A product that no source knows; in the holdout."""


def variant(fusion: str = "concat", sources: tuple[str, ...] = ("signal", "noise", "facts")) -> VariantParameters:
    return VariantParameters.model_validate(
        {
            "sources": sources,
            "model": {
                "branch": {"width": 8},
                "fusion": {"kind": fusion} | ({} if fusion == "concat" else {"heads": 2}),
                "head": {"kind": "mlp", "hidden": [8], "dropout": 0.0},
            },
            "train": {
                "epochs": 12,
                "batch_size": 32,
                "learning_rate": 0.02,
                "schedule": "cosine",
                "keep": "last",
                "early_stopping_patience": None,
                "device": "cpu",
                "precision": "float32",
            },
        }
    )


@pytest.fixture(scope="module")
def labelled(new_folder: Callable[[], Path]) -> LabelledData:
    """Prices that depend on the direction of ``signal`` and on the column ``size``, and on nothing else."""
    generator = np.random.default_rng(SEED)
    ids, folder = np.arange(ROWS) + 500, new_folder()
    signal, noise = generator.normal(size=(2, ROWS, VECTORS.width))
    direction = signal[:, 0] / np.linalg.norm(signal[:, :5], axis=1)
    size = generator.normal(size=ROWS)
    products = pd.DataFrame(
        {
            "sample_id": ids,
            "size": size,
            "shade": generator.normal(size=ROWS),
            "unit": generator.choice(["g", "ml"], ROWS),
        }
    )

    def table(source: str, draft: TableDraft) -> EmbeddingTable:
        write_table(folder / source, source, draft)
        return EmbeddingTable(folder / source)

    known = np.arange(ROWS) != UNKNOWN_ROW
    samples = pd.DataFrame(
        {
            "sample_id": ids,
            "price": np.exp(2.5 + 1.5 * direction + 0.4 * size),
            "group_key": ids // 2,
        }
    )
    heard = known & (generator.random(ROWS) >= 0.1)
    split = split_samples(samples, fractions=(0.6, 0.1, 0.3), price_quantiles=5, folds=2, tuned_on={}, seed=SEED)
    group = samples["group_key"] == samples["group_key"][UNKNOWN_ROW]
    split.loc[group, ["split", "fold"]] = ["holdout", -1]
    tables = {
        name: table(name, draft_table(RawEmbeddings.from_arrays(ids[rows], matrix[rows], f"{name}.npy"), VECTORS))
        for name, matrix, rows in (("signal", signal, known), ("noise", noise, heard))
    }
    facts = table("facts", draft_columns(products[known], FACTS, "made"))
    return LabelledData(samples, split, {**tables, "facts": facts})


@pytest.fixture(scope="module")
def checkpoint(labelled: LabelledData, new_folder: Callable[[], Path]) -> Checkpoint:
    data = training_data(labelled.samples, labelled.split_table, labelled.tables, "cpu")
    return train_variant("tiny", variant(), data, seed=SEED, run=RunFolder(new_folder())).checkpoint


def permute(checkpoint: Checkpoint, labelled: LabelledData, permutations: int = 2, seed: int = SEED) -> pd.DataFrame:
    return permutation_importance(
        checkpoint,
        labelled.samples,
        labelled.split_table,
        labelled.tables,
        permutations=permutations,
        resamples=200,
        seed=seed,
    )


def test_what_carries_the_price_is_worth_much_and_noise_nothing(checkpoint: Checkpoint, labelled: LabelledData) -> None:
    table = permute(checkpoint, labelled, permutations=5)
    assert table["importance_points"].is_monotonic_decreasing
    assert set(table["variant"]) == {"tiny"}
    assert set(table["split"]) == {"holdout"}
    assert set(table["rows"]) == {(labelled.split_table["split"] == "holdout").sum()}
    by_part = table.set_index("part")
    assert set(by_part.index[:3]) == {"signal", "facts", "facts: size"}
    assert (by_part["importance_points_low"][:3] > 5).all()
    assert by_part["importance_points"][3:].abs().max() < 2
    assert by_part.loc["facts: size", "importance_points"] == pytest.approx(
        by_part.loc["facts", "importance_points"], rel=0.2
    )
    assert (by_part["smape_permuted"] - by_part["smape"]).to_numpy() == pytest.approx(by_part["importance_points"])


def test_permutations_are_those_of_the_seed(checkpoint: Checkpoint, labelled: LabelledData) -> None:
    first = permute(checkpoint, labelled)
    pd.testing.assert_frame_equal(first, permute(checkpoint, labelled))
    assert not first.equals(permute(checkpoint, labelled, seed=SEED + 1))


def test_intervals_are_paired_by_product_and_prices_are_the_predictors(
    checkpoint: Checkpoint, labelled: LabelledData
) -> None:
    table = permute(checkpoint, labelled, permutations=1).set_index("part")
    chosen = labelled.samples[(labelled.split_table["split"] == "holdout").to_numpy()]
    assert UNKNOWN_ROW in chosen.index
    price = chosen["price"].to_numpy()
    order = np.random.default_rng([SEED, 0]).permutation(len(chosen))
    rows = labelled.tables["signal"].rows_of(chosen["sample_id"].to_numpy())
    _, permuted_tables = aligned(chosen, labelled.tables, signal=rows[order])
    whole, without = (
        smape_per_product(Predictor(checkpoint).predict_samples(chosen, tables), price)
        for tables in (labelled.tables, permuted_tables)
    )
    expected = paired_difference(without, whole, chosen["group_key"], resamples=200, seed=SEED)
    measured = table.loc["signal"]
    assert measured["smape"] == pytest.approx(whole.mean())
    found = measured[["importance_points", "importance_points_low", "importance_points_high", "reversed"]]
    assert found.tolist() == pytest.approx(list(expected))


@pytest.fixture
def features() -> Features:
    """Ten products; the source ``b`` lacks three of them and has its rows in another order."""
    rows = torch.tensor([4, -1, 3, 2, -1, 0, 1, 6, -1, 5])
    structural = torch.arange(14.0).view(7, 2)
    plain = SourceFeatures(torch.arange(10.0)[:, None], torch.empty(10, 0), torch.arange(10))
    return Features({"a": plain, "b": SourceFeatures(structural * 10, structural, rows)})


def test_a_source_is_permuted_with_its_gaps_and_all_its_values(features: Features) -> None:
    before = features.sources["b"]
    after = permuted(features, Part("b", "source", ("b",)), np.random.default_rng(0))
    assert after.sources["a"] is features.sources["a"]
    changed = after.sources["b"]
    assert sorted(changed.rows.tolist()) == sorted(before.rows.tolist())
    assert changed.rows.tolist() != before.rows.tolist()
    assert (changed.vectors is before.vectors, changed.structural is before.structural) == (True, True)
    batch = after.batch(torch.arange(10))["b"]
    assert torch.equal(batch.vectors, batch.structural * 10)


def test_a_column_is_permuted_alone_between_products_that_its_source_knows(features: Features) -> None:
    before = features.sources["b"]
    values = before.structural.clone()
    changed = permuted(features, Part("b: 2", "column", ("b",), 1), np.random.default_rng(0)).sources["b"]
    assert torch.equal(before.structural, values)
    assert changed.rows is before.rows
    assert changed.vectors is before.vectors
    assert torch.equal(changed.structural[:, 0], values[:, 0])
    assert not torch.equal(changed.structural[:, 1], values[:, 1])
    assert sorted(changed.structural[:, 1].tolist()) == sorted(values[:, 1].tolist())


def test_a_column_keeps_to_the_products_at_hand(features: Features) -> None:
    whole = features.sources["b"]
    few = Features({"b": replace(whole, rows=whole.rows[:4])})  # rows 4, 3 and 2
    changed = permuted(few, Part("b: 1", "column", ("b",), 0), np.random.default_rng(1)).sources["b"].structural[:, 0]
    assert sorted(changed[[2, 3, 4]].tolist()) == whole.structural[[2, 3, 4], 0].tolist()
    assert changed[[0, 1, 5, 6]].tolist() == whole.structural[[0, 1, 5, 6], 0].tolist()


def test_parts_are_sources_and_their_columns_by_name() -> None:
    parts = permutable_parts({"words": SourceParameters(width=4, group="a", structural_columns=2), "facts": FACTS})
    assert [(part.name, part.kind, part.place) for part in parts] == [
        ("words", "source", None),
        ("words: structural 1", "column", 0),
        ("words: structural 2", "column", 1),
        ("facts", "source", None),
        ("facts: size", "column", 0),
        ("facts: shade", "column", 1),
        ("facts: unit", "column", 2),
    ]


def test_groups_of_one_source_are_left_out_once() -> None:
    parts = removable_parts(("a", "b", "c"), {"a": "text", "b": "image", "c": "text"})
    assert [(part.name, part.kind, part.sources) for part in parts] == [
        ("a", "source", ("a",)),
        ("b", "source", ("b",)),
        ("c", "source", ("c",)),
        ("group text", "group", ("a", "c")),
    ]


@pytest.mark.parametrize("fusion", ["attention", "hierarchical"])
def test_what_cannot_be_without_a_part_says_why(fusion: str) -> None:
    whole = variant(fusion)
    assert removal(whole, Part("noise", "source", ("noise",))) == variant(fusion, ("signal", "facts"))
    group = Part("group", "group", ("signal", "noise"))
    assert f"fusion '{fusion}' needs at least two sources" in removal(whole, group)
    assert removal(variant(), group) == variant("concat", ("facts",))
    assert removal(variant(), Part("all", "group", whole.sources)) == NOTHING_LEFT


@dataclass
class Retraining:
    """A retraining in a folder of its own."""

    folder: FoldFolder

    def __call__(
        self, labelled: LabelledData, whole: VariantParameters, *, seeds: int = 1, retrain: bool = True
    ) -> pd.DataFrame:
        return retraining_importance(
            whole, labelled, self.folder, seeds=seeds, retrain=retrain, resamples=200, seed=SEED
        )


@pytest.fixture(scope="module")
def retraining(new_folder: Callable[[], Path]) -> Retraining:
    return Retraining(FoldFolder("tiny", new_folder() / "ablation"))


@pytest.fixture(scope="module")
def retrained(retraining: Retraining, labelled: LabelledData) -> pd.DataFrame:
    return retraining(labelled, variant())


def test_leaving_out_what_carries_the_price_costs_much_and_noise_nothing(
    retrained: pd.DataFrame, labelled: LabelledData
) -> None:
    by_part = retrained.set_index("part")
    assert set(by_part.index) == {"signal", "noise", "facts", "group vectors / all"}
    assert by_part.loc["group vectors / all", ["kind", "sources"]].tolist() == ["group", "signal, noise"]
    assert (by_part.loc[["signal", "facts"], "importance_points_low"] > 5).all()
    assert by_part.loc["noise", "importance_points"] < 2
    assert set(retrained["rows"]) == {(labelled.split_table["fold"] >= 0).sum()}
    assert retrained[["folds", "seeds"]].drop_duplicates().to_numpy().tolist() == [[2, 1]]
    assert retrained["skipped"].isna().all()


def test_each_variant_has_a_folder_and_its_difference_is_paired(
    retraining: Retraining, retrained: pd.DataFrame, labelled: LabelledData, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("trained again")

    monkeypatch.setattr(cross_validation, "train_variant", refuse)
    pd.testing.assert_frame_equal(retraining(labelled, variant()), retrained)

    def smape(folder: str, *sources: str) -> pd.DataFrame:
        own = replace(labelled, tables={name: labelled.tables[name] for name in sources})
        models = cross_validate_variant(
            variant("concat", sources), own, FoldFolder("any", retraining.folder.path / folder), seeds=1, seed=SEED
        )
        found = out_of_fold(models, own)
        return found.assign(smape=smape_per_product(found["predicted"], found["price"]))

    whole, without = smape("whole", "signal", "noise", "facts"), smape("without_group/signal", "facts")
    groups = labelled.samples.set_index("sample_id")["group_key"].loc[whole["sample_id"]]
    expected = paired_difference(
        without["smape"].to_numpy(), whole["smape"].to_numpy(), groups, resamples=200, seed=SEED
    )
    found = retrained.set_index("part").loc["group vectors / all"]
    ends = ["importance_points", "importance_points_low", "importance_points_high", "reversed"]
    assert found[ends].tolist() == pytest.approx(list(expected))


def test_prices_of_the_holdout_take_no_part_in_retraining(
    retraining: Retraining, retrained: pd.DataFrame, labelled: LabelledData, monkeypatch: pytest.MonkeyPatch
) -> None:
    held_out = (labelled.split_table["split"] == "holdout").to_numpy()
    prices = labelled.samples["price"].mask(held_out, 1_000.0)
    monkeypatch.delattr(cross_validation, "train_variant")
    changed = replace(labelled, samples=labelled.samples.assign(price=prices))
    pd.testing.assert_frame_equal(retraining(changed, variant()), retrained)


def test_what_is_skipped_comes_last_with_its_reason(labelled: LabelledData, tmp_path: Path) -> None:
    own = replace(labelled, tables={name: labelled.tables[name] for name in ("signal", "facts")})
    whole = variant("attention", ("signal", "facts"))
    quick = whole.model_copy(update={"train": whole.train.model_copy(update={"epochs": 1})})
    table = Retraining(FoldFolder("tiny", tmp_path))(own, quick)
    assert table["importance_points"].isna().all()
    assert table["skipped"].str.contains("needs at least two sources").all()
    assert not list(tmp_path.iterdir())  # the whole variant alone would say nothing
    three = quick.model_copy(update={"sources": ("signal", "noise", "facts")})
    table = Retraining(FoldFolder("tiny", tmp_path))(labelled, three, seeds=2)
    assert table["part"].iloc[-1] == "group vectors / all"
    assert table["skipped"].notna().tolist() == [False, False, False, True]
    assert table["seeds"].iloc[:3].tolist() == [2, 2, 2]


def test_retraining_can_be_left_out(labelled: LabelledData, tmp_path: Path) -> None:
    table = Retraining(FoldFolder("tiny", tmp_path))(labelled, variant(), retrain=False)
    assert len(table) == 4
    assert set(table["skipped"]) == {NOT_ASKED_FOR}
    assert table["importance_points"].isna().all()
    assert not list(tmp_path.iterdir())
