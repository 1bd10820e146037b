from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from price_fusion.models.estimators.design import fit_design
from price_fusion.models.estimators.pretrained.reduction import Reduction


@pytest.fixture
def design(made: Any) -> Any:
    return fit_design(made.features, made.sources, made.fit_rows)


@pytest.fixture
def matrix(made: Any, design: Any) -> Any:
    return design.matrix(made.features, np.arange(len(made.log_prices)))


def test_wide_parts_become_the_scores_of_their_principal_components(made: Any, design: Any, matrix: Any) -> None:
    reduction = Reduction.fit(design, matrix[made.fit_rows], 3)
    reduced = reduction.reduced(matrix)
    words = matrix[:, design.embeddings[0]].astype(np.float64)
    centred = words - words[made.fit_rows].mean(axis=0)
    _, _, directions = np.linalg.svd(centred[made.fit_rows], full_matrices=False)
    np.testing.assert_allclose(np.abs(reduced[:, :3]), np.abs(centred @ directions[:3].T), atol=1e-5)
    assert reduced.dtype == np.float32
    assert reduced.flags.c_contiguous


def test_narrow_parts_stay_as_they_are(made: Any, design: Any, matrix: Any) -> None:
    np.testing.assert_array_equal(Reduction.fit(design, matrix[made.fit_rows], 500).reduced(matrix), matrix)
    reduced = Reduction.fit(design, matrix[made.fit_rows], 5).reduced(matrix)
    np.testing.assert_array_equal(reduced[:, 5:10], matrix[:, 6:11])  # the picture's embedding, after five of the words


def test_directions_in_which_the_rows_do_not_differ_are_left_out(made: Any, design: Any, matrix: Any) -> None:
    three = Reduction.fit(design, matrix[:3], 4).reduced(matrix)
    assert three.shape[1] == 2 + (4 + 1) + 2  # three rows differ in two directions
    same = Reduction.fit(design, np.repeat(matrix[:1], 5, axis=0), 4).reduced(matrix)
    assert same.shape == (len(matrix), 4 + 1)  # those that are too narrow to be reduced


def test_signs_are_the_same_in_any_order_of_the_rows(made: Any, design: Any, matrix: Any) -> None:
    fit = matrix[made.fit_rows]
    one, other = (Reduction.fit(design, rows, 3).reduced(matrix) for rows in (fit, fit[::-1]))
    np.testing.assert_allclose(one, other, atol=1e-5)


def test_what_was_written_reduces_alike(made: Any, design: Any, matrix: Any) -> None:
    reduction = Reduction.fit(design, matrix[made.fit_rows], 3)
    np.testing.assert_array_equal(
        Reduction.read(design, reduction.arrays).reduced(matrix), reduction.reduced(matrix), strict=True
    )
