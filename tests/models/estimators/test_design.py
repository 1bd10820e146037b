"""The design: which columns there are, and that only fit rows shape them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from price_fusion.data.columns import column_matrix, completed
from price_fusion.data.table import EmbeddingTable
from price_fusion.errors import AlignmentError, DataError
from price_fusion.models.estimators import Design, fit_design
from price_fusion.models.features import Features, features_from_arrays, features_from_tables
from price_fusion.models.layers.columns import PiecewiseLinear
from price_fusion.parameters import ColumnSourceParameters, SourceParameters

NAN = float("nan")
WORDS = SourceParameters(width=3, group="text", structural_columns=1)
ROWS = np.arange(4)


def facts(categories: int = 3, numbers: int = 1, encoding: Any = "plain") -> ColumnSourceParameters:
    return ColumnSourceParameters(
        kind="columns",
        group="facts",
        numeric=tuple(f"number_{place}" for place in range(numbers)),
        categorical=("unit",),
        vocabulary={"unit": tuple(f"unit_{place}" for place in range(categories))},
        encoding=encoding,
    )


def columns(values: Any, source: ColumnSourceParameters) -> Features:
    return features_from_arrays({"facts": np.asarray(values, np.float32)}, {"facts": source}, {"facts": "float32"})


def test_embeddings_have_unit_length_and_structural_columns_are_standardised_logs() -> None:
    vectors = np.array([[3, 4, 0], [0, 2, np.e - 1], [0, 0, 1 - np.e], [1, 0, 0]], np.float32)
    features = features_from_arrays({"words": vectors}, {"words": WORDS}, {"words": "float32"})
    matrix = fit_design(features, {"words": WORDS}, ROWS).matrix(features, ROWS)
    np.testing.assert_allclose(matrix[:, :2], [[0.6, 0.8], [0, 1], [0, 0], [1, 0]], rtol=1e-6)
    np.testing.assert_allclose(matrix[:, 2], np.array([0, 1, -1, 0]) / np.sqrt(0.5), atol=1e-6)


def test_a_column_source_gives_numbers_flags_and_one_hot_categories() -> None:
    source = facts()
    features = columns([[1, 1], [3, 3], [NAN, 0], [2, 1]], source)
    design = fit_design(features, {"facts": source}, ROWS)
    spread = np.std([1, 3, 2])
    np.testing.assert_allclose(
        design.matrix(features, ROWS),
        [[-1 / spread, 0, 0, 1, 0], [1 / spread, 0, 0, 0, 1], [0, 1, 1, 0, 0], [0, 0, 0, 1, 0]],
        rtol=1e-6,
    )


def test_a_category_that_no_fit_row_has_counts_as_unknown() -> None:
    source = facts()
    features = columns([[1, 1], [1, 3], [1, 2], [1, 0]], source)
    matrix = fit_design(features, {"facts": source}, np.array([0, 1])).matrix(features, ROWS)
    np.testing.assert_array_equal(matrix[2], matrix[3])
    np.testing.assert_array_equal(matrix[:, 2:], [[0, 1, 0], [0, 0, 1], [1, 0, 0], [1, 0, 0]])


def test_numbers_are_also_encoded_as_networks_encode_them() -> None:
    generator = np.random.default_rng(5)
    source = facts(numbers=2, encoding="piecewise_linear")
    values = np.column_stack([generator.lognormal(size=90), generator.integers(0, 3, 90), np.ones(90)])
    values[::7, 0] = NAN
    features = columns(values, source)
    matrix = fit_design(features, {"facts": source}, np.arange(60)).matrix(features, np.arange(90))
    encoding = PiecewiseLinear(2, source.bins)
    encoding.fit(torch.from_numpy(values[:60, :2].astype(np.float32)))
    with_width = (encoding.widths < np.inf).flatten()
    assert source.bins < with_width.sum() < 2 * source.bins  # quantiles of the second number repeat
    expected = encoding(torch.from_numpy(values[:, :2].astype(np.float32)))[:, with_width]
    np.testing.assert_allclose(matrix[:, -len(expected[0]) :], expected, atol=1e-5)
    assert matrix.shape[1] == 2 + 2 + 2 + with_width.sum()


def test_amounts_are_read_back_from_the_matrix() -> None:
    texts = ["Item Name: A 12 Ounce (Pack of 2)", "Item Name: B 500 ml", "Item Name: C", "Item Name: D 3 Ounce"]
    products = pd.DataFrame({"sample_id": range(4), "catalog_content": texts})
    declared = ColumnSourceParameters(kind="columns", group="quantity", parse="quantity")
    source = completed(products, declared, "products")
    features = features_from_arrays(
        {"quantity": column_matrix(products, source, "products")}, {"quantity": source}, {"quantity": "float32"}
    )
    features.sources["quantity"].rows[3] = -1
    design = fit_design(features, {"quantity": source}, np.arange(3))
    amounts = design.amounts(design.matrix(features, ROWS))
    assert amounts is not None
    np.testing.assert_allclose(np.exp(amounts.logs), [2 * 340.194, 500, NAN, NAN], rtol=1e-3)
    assert amounts.kinds[0] != amounts.kinds[1] != 0 != amounts.kinds[0]
    plain = facts()
    others = columns([[1, 1]] * 4, plain)
    other_design = fit_design(others, {"facts": plain}, ROWS)
    assert other_design.amounts(other_design.matrix(others, ROWS)) is None


def test_only_the_most_frequent_categories_have_a_column(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("price_fusion.models.estimators.contribution.MOST_CATEGORIES", 2)
    source = facts(categories=5)
    features = columns([[0, code] for code in (5, 5, 1, 2, 2, 2, 4, 0)], source)
    assert fit_design(features, {"facts": source}, np.arange(8)).sources["facts"].categories == ((2, 5),)


def test_what_a_source_lacks_is_zero_in_any_order_of_the_rows() -> None:
    vectors = np.eye(4, 3, dtype=np.float32)
    features = features_from_arrays({"words": vectors}, {"words": WORDS}, {"words": "float16"})
    features.sources["words"].rows[:] = torch.tensor([1, -1, 2, 0])
    matrix = fit_design(features, {"words": WORDS}, ROWS).matrix(features, np.array([1, 0, 3]))
    np.testing.assert_array_equal(matrix[:, :2], [[0, 0], [0, 1], [1, 0]])
    assert matrix[0, 2] == 0 > matrix[1, 2]


def test_a_column_of_missing_values_and_a_constant_one_stay_finite() -> None:
    source = facts(numbers=2)
    features = columns([[NAN, 0.1, 1]] * 4, source)
    design = fit_design(features, {"facts": source}, ROWS)
    np.testing.assert_array_equal(design.matrix(features, ROWS), [[0, 0, 1, 0, 0, 1]] * 4)
    assert design.sources["facts"].spread == (1.0, 1.0)


def test_columns_that_go_far_are_taken_as_logs_and_an_absurd_value_is_bounded() -> None:
    source = facts(numbers=2)
    generator = np.random.default_rng(0)
    values = np.column_stack([generator.normal(size=500), np.exp(2 * generator.normal(size=500)), np.zeros(500)])
    values[7, 1] = 1e9
    features = columns(values, source)
    fit = np.arange(500)
    design = fit_design(features, {"facts": source}, fit)
    assert design.sources["facts"].logs == (False, True)
    absurd = design.matrix(columns([[1e30, -1e30, 0]], source), np.array([0]))
    np.testing.assert_array_equal(absurd[0, :2], [10, -10])


def test_other_rows_than_those_fitted_on_change_nothing(made: Any) -> None:
    rows = np.arange(100)
    before = fit_design(made.features, made.sources, rows)
    assert fit_design(made.changed(np.arange(100, 260)).features, made.sources, rows) == before
    assert fit_design(made.changed(np.arange(90, 260)).features, made.sources, rows) != before


def test_blocks_and_shards_do_not_matter(
    make_table: Callable[..., EmbeddingTable], monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = np.random.default_rng(2).normal(size=(50, 3)).astype(np.float32)
    samples = pd.DataFrame({"sample_id": np.r_[99, np.arange(49)]})
    rows = np.random.default_rng(3).permutation(50)
    matrices = []
    for block_rows, rows_per_shard in ((8_192, 1_000), (7, 11)):
        table = make_table(range(50), vectors, structural_columns=1, rows_per_shard=rows_per_shard)
        features = features_from_tables(samples, {"words": table}, {"words": WORDS})
        monkeypatch.setattr("price_fusion.models.estimators.design.blocks.__defaults__", (block_rows,))
        matrices.append(fit_design(features, {"words": WORDS}, rows[:30]).matrix(features, rows))
    np.testing.assert_array_equal(*matrices)


def test_the_design_survives_json(made: Any) -> None:
    design = fit_design(made.features, made.sources, np.arange(100))
    again = Design.model_validate_json(design.model_dump_json())
    assert again == design
    assert {name: one.source for name, one in again.sources.items()} == made.sources
    rows = np.arange(260)
    np.testing.assert_array_equal(again.matrix(made.features, rows), design.matrix(made.features, rows))


def test_features_of_other_sources_or_widths_are_refused(made: Any) -> None:
    design = fit_design(made.features, made.sources, ROWS)
    lacking = Features({name: source for name, source in made.features.sources.items() if name != "picture"})
    with pytest.raises(AlignmentError, match=r"lack source 'picture'.*they have words, facts"):
        design.matrix(lacking, ROWS)
    wider = Features({**made.features.sources, "picture": made.features.sources["words"]})
    with pytest.raises(DataError, match=r"'picture' has 6 embedding and 0 structural columns.*fitted on 4 and 1"):
        design.matrix(wider, ROWS)


def test_vectors_of_any_length_have_unit_length() -> None:
    vectors = np.array([[3, 4, 0], [3e20, 4e20, 0], [3e38, -3e38, 3e38], [0, 0, 0]], np.float32)
    source = SourceParameters(width=3, group="text")
    features = features_from_arrays({"words": vectors}, {"words": source}, {"words": "float32"})
    matrix = fit_design(features, {"words": source}, ROWS).matrix(features, ROWS)
    third = 1 / np.sqrt(3)
    np.testing.assert_allclose(
        matrix[:, :3], [[0.6, 0.8, 0], [0.6, 0.8, 0], [third, -third, third], [0, 0, 0]], rtol=1e-6
    )
