"""Distances against a loop over pairs and sources."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from price_fusion.models.estimators import fit_design
from price_fusion.models.estimators.geometry import Geometry
from price_fusion.models.features import features_from_arrays
from price_fusion.parameters import SourceParameters


def plain(matrix: Any, parts: list[slice], query: Any) -> np.ndarray:
    """Squared distances of a row to those of a matrix, one pair and one source at a time."""
    rows, query = (values.astype(np.float16).astype(float) for values in (matrix, query))
    found, scale = np.zeros(len(rows)), 0.0
    for part in parts:
        known = np.array([row[part] for row in rows if row[part].any()])
        centre = known.mean(axis=0)
        spread = ((known - centre) ** 2).sum(axis=1).mean()
        scale += 2 * spread
        for place, row in enumerate(rows):
            has, asks = row[part].any(), query[part].any()
            one, other = row[part] if has else centre, query[part] if asks else centre
            found[place] += ((one - other) ** 2).sum() + spread * (not has) + spread * (not asks)
    return found / scale


@pytest.mark.parametrize("stored_rows", [4_096, 11])
def test_is_what_a_loop_gives(made: Any, stored_rows: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("price_fusion.models.estimators.geometry.STORED_ROWS", stored_rows)
    design = fit_design(made.features, made.sources, made.fit_rows)
    matrix = design.matrix(made.features, np.arange(40))
    queries = design.matrix(made.features, np.arange(20, 60))
    assert not all(matrix[:, part].any(axis=1).all() for part in design.embeddings)  # some products lack a source
    squared = Geometry.of(design, matrix).squared(queries)
    for found, parts in ((squared.embeddings, design.embeddings), (squared.columns, design.columns)):
        expected = np.array([plain(matrix, parts, query) for query in queries])
        np.testing.assert_allclose(found, expected, atol=2e-5)
    np.testing.assert_array_equal(squared.both, squared.embeddings + squared.columns)


def test_stored_rows_are_1_apart_on_average(made: Any) -> None:
    made = made.complete()
    design = fit_design(made.features, made.sources, made.fit_rows)
    matrix = design.matrix(made.features, np.arange(100))
    for squared in Geometry.of(design, matrix).squared(matrix):
        assert squared.mean() == pytest.approx(1, rel=1e-4)
        assert np.abs(np.diagonal(squared)).max() < 1e-5
        pairs = [squared[one, other] - squared[other, one] for one, other in combinations(range(10), 2)]
        np.testing.assert_allclose(pairs, 0, atol=1e-5)


@pytest.mark.parametrize("stored", [200, 4_096, 4_099, 8_194])
def test_the_place_of_a_product_does_not_change_its_distances(stored: int) -> None:
    generator = np.random.default_rng(6)
    rows = generator.normal(size=(stored, 37)).astype(np.float32)
    sources = {"words": SourceParameters(width=37, group="text")}
    features = features_from_arrays({"words": rows}, sources, {"words": "float32"})
    design = fit_design(features, sources, np.arange(stored))
    matrix = design.matrix(features, np.arange(stored))
    geometry, queries = Geometry.of(design, matrix), generator.normal(size=(512, 37)).astype(np.float32)
    order = generator.permutation(512)
    assert np.array_equal(geometry.squared(queries)[0][order], geometry.squared(queries[order])[0])


def test_rows_that_are_all_alike_are_no_distance_apart() -> None:
    source = {"words": SourceParameters(width=1, group="text")}
    features = features_from_arrays({"words": np.full((9, 1), 0.3, np.float32)}, source, {"words": "float32"})
    design = fit_design(features, source, np.arange(9))
    matrix = design.matrix(features, np.arange(9))
    for squared in Geometry.of(design, matrix).squared(matrix):
        np.testing.assert_allclose(squared, np.zeros((9, 9)), atol=1e-6)


def test_arrays_bring_the_same_distances(made: Any) -> None:
    design = fit_design(made.features, made.sources, made.fit_rows)
    geometry = Geometry.of(design, design.matrix(made.features, made.fit_rows))
    again = Geometry.read(design, geometry.arrays)
    queries = design.matrix(made.features, made.other_rows)
    np.testing.assert_array_equal(again.squared(queries).both, geometry.squared(queries).both)
    assert len(again) == len(made.fit_rows)
