"""The branch of columns: encodings by hand, each product by itself, and no token without a number."""

from __future__ import annotations

import doctest
import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from price_fusion.models.build import PriceModel
from price_fusion.models.layers import columns
from price_fusion.models.layers.branches import SourceBatch
from price_fusion.models.layers.columns import ColumnBranch, Periodic, PiecewiseLinear
from price_fusion.parameters import AttentionFusion, BranchParameters, ColumnSourceParameters, ModelParameters

NAN = float("nan")
COLOURS, SHAPES = ("blue", "green", "red"), ("flat", "round")
ENCODINGS = ("plain", "piecewise_linear", "periodic")
NUMBERS = st.floats(width=32, allow_infinity=False) | st.just(NAN)
ROWS = 6


def declared(**changes: Any) -> ColumnSourceParameters:
    values: dict[str, Any] = {
        "kind": "columns",
        "group": "facts",
        "numeric": ("weight", "pack"),
        "categorical": ("colour", "shape"),
        "vocabulary": {"colour": COLOURS, "shape": SHAPES},
        "bins": 4,
        "frequencies": 3,
    }
    return ColumnSourceParameters.model_validate(values | changes)


def train_rows() -> torch.Tensor:
    """40 products; none is red, and one has no colour."""
    generator = torch.Generator().manual_seed(3)
    numbers = torch.randn(40, 2, generator=generator) * torch.tensor([1.0, 30.0]) + 5
    numbers[::7, 0] = NAN
    codes = torch.stack([1 + torch.arange(40) % 2, 1 + torch.arange(40) // 20], dim=1).float()
    codes[5, 0] = 0
    return torch.cat([numbers, codes], dim=1)


def fitted(encoding: str = "piecewise_linear", **parameters: Any) -> ColumnBranch:
    torch.manual_seed(0)
    branch = ColumnBranch(declared(encoding=encoding), BranchParameters(width=8, **parameters))
    branch.fit_structural(train_rows())
    branch.missing.data.normal_()
    return branch


def batch(structural: torch.Tensor, present: torch.Tensor | None = None) -> SourceBatch:
    rows = len(structural)
    everywhere = torch.ones(rows, dtype=torch.bool)
    return SourceBatch(torch.empty(rows, 0), structural, everywhere if present is None else present)


def some_products(numbers: NDArray[np.float32], codes: NDArray[np.int64]) -> torch.Tensor:
    return torch.from_numpy(np.hstack([numbers, codes.astype(np.float32)]))


PRODUCTS = st.builds(
    some_products,
    arrays(np.float32, (ROWS, 2), elements=NUMBERS),
    st.tuples(
        arrays(np.int64, (ROWS, 1), elements=st.integers(0, 3)), arrays(np.int64, (ROWS, 1), elements=st.integers(0, 2))
    ).map(np.hstack),
)


def test_the_example_in_the_docstring_runs() -> None:
    results = doctest.testmod(columns)
    assert results.attempted > 0
    assert results.failed == 0


# --- encodings -------------------------------------------------------------------------------------------------------


def test_piecewise_linear_by_hand() -> None:
    encoding = PiecewiseLinear(2, 2)
    encoding.fit(torch.tensor([[0.0, 10.0], [4.0, 10.0], [2.0, 20.0], [NAN, 40.0], [8.0, NAN], [6.0, 10.0]]))
    # The first column's edges are 0, 4, 8; the second's, of 10, 10, 10, 20, 40, are 10, 10, 40: a bin without width.
    encoded = encoding(torch.tensor([[1.0, 25.0], [6.0, 10.0], [-5.0, 400.0], [99.0, NAN]]))
    expected = [[0.25, 0.0, 0.0, 0.5], [1.0, 0.5, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0]]
    torch.testing.assert_close(encoded, torch.tensor(expected))


@given(
    arrays(np.float32, 23, elements=st.integers(-1000, 1000).map(float)),
    arrays(np.float32, 5, elements=st.integers(-2000, 2000).map(float)),
    st.integers(2, 9),
)
def test_piecewise_linear_is_by_quantiles_of_numpy(
    train: NDArray[np.float32], seen: NDArray[np.float32], bins: int
) -> None:
    encoding = PiecewiseLinear(1, bins)
    encoding.fit(torch.from_numpy(train[:, None]))
    edges = np.quantile(train.astype(np.float64), np.linspace(0, 1, bins + 1))
    wide = np.diff(edges) > 1e-6
    expected = np.clip((seen[:, None] - edges[:-1]) / np.where(wide, np.diff(edges), 1), 0, 1)
    found = encoding(torch.from_numpy(seen[:, None])).numpy()
    np.testing.assert_allclose(found[:, wide], expected[:, wide], atol=2e-3)


def test_a_column_without_numbers_is_encoded_as_nothing() -> None:
    encoding = PiecewiseLinear(1, 3)
    encoding.fit(torch.full((4, 1), NAN))
    assert encoding(torch.tensor([[1.0], [NAN], [-3e38]])).tolist() == [[0.0] * 3] * 3


def test_periodic_by_hand() -> None:
    encoding = Periodic(2, 1)
    encoding.frequencies.data = torch.tensor([[0.25], [0.5]])
    encoded = encoding(torch.tensor([[1.0, 1.0], [NAN, 0.5], [2.0, NAN]]))
    # Angles: a quarter and a half turn; a quarter turn; a half turn.
    expected = [[1.0, 0.0, 0.0, -1.0], [0.0, 0.0, 1.0, 0.0], [0.0, -1.0, 0.0, 0.0]]
    torch.testing.assert_close(encoded, torch.tensor(expected), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("encoding", "features"), [("plain", 4), ("piecewise_linear", 12), ("periodic", 16)])
def test_a_token_is_a_projection_and_the_vectors_of_its_categories(encoding: str, features: int) -> None:
    branch = fitted(encoding)
    assert branch.projection is not None
    assert branch.projection.in_features == features
    row = torch.tensor([[NAN, 7.0, 2.0, 1.0]])
    scaled = branch.scale(row[:, :2])
    parts = [torch.tensor([0.0, float(scaled[0, 1]), 1.0, 0.0])]
    if branch.bins is not None:
        parts.append(torch.cat([torch.zeros(4), branch.bins(row[:, :2])[0, 4:]]))
    if branch.waves is not None:
        angles = 2 * math.pi * branch.waves.frequencies[1] * scaled[0, 1]
        parts.append(torch.cat([torch.zeros(6), angles.sin(), angles.cos()]))
    colour, shape = (dict(branch.categories.named_parameters())[f"{place}.weight"] for place in (0, 1))
    expected = branch.projection(torch.cat(parts)) + colour[2] + shape[1]
    torch.testing.assert_close(branch(batch(row))[0], expected)


# --- tokens ----------------------------------------------------------------------------------------------------------


@given(products=PRODUCTS, encoding=st.sampled_from(ENCODINGS), row=st.integers(0, ROWS - 1))
def test_a_token_is_finite_and_of_its_product_alone(products: torch.Tensor, encoding: str, row: int) -> None:
    branch = fitted(encoding, layer_norm=True)
    together = branch(batch(products))
    assert torch.isfinite(together).all()
    alone = branch(batch(products[row : row + 1]))
    torch.testing.assert_close(alone[0], together[row], rtol=1e-4, atol=1e-4)
    others = products.clone()
    others[torch.arange(ROWS) != row] = torch.tensor([NAN, 3e38, 0.0, 2.0])
    torch.testing.assert_close(branch(batch(others))[row], together[row], rtol=1e-4, atol=1e-4)


@given(products=PRODUCTS, encoding=st.sampled_from(ENCODINGS))
def test_a_category_of_no_train_row_is_an_empty_field(products: torch.Tensor, encoding: str) -> None:
    branch = fitted(encoding)
    red, none = products.clone(), products.clone()
    red[:, 2], none[:, 2] = 1.0 + COLOURS.index("red"), 0.0
    assert torch.equal(branch(batch(red)), branch(batch(none)))
    blue = products.clone()
    blue[:, 2] = 1.0 + COLOURS.index("blue")
    moderate = (products[:, :2].isnan() | (products[:, :2].abs() < 1e6)).all(dim=1)
    assert (branch(batch(blue)) != branch(batch(none)))[moderate].any(dim=1).all()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_a_missing_number_is_told_from_each_number(encoding: str) -> None:
    branch = fitted(encoding)
    rows = torch.tensor([[NAN, 5.0, 1.0, 1.0], [float(branch.scale.center[0]), 5.0, 1.0, 1.0]])
    missing, typical = branch(batch(rows))
    assert not torch.allclose(missing, typical)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_an_absent_product_is_the_learned_vector_and_teaches_it_alone(encoding: str) -> None:
    branch = fitted(encoding)
    rows = train_rows()[:4]
    present = torch.tensor([True, False, True, False])
    token = branch(batch(rows, present))
    assert torch.equal(token[~present], branch.missing.expand(2, 8))
    token[~present].sum().backward()
    gradients = {name: weight.grad for name, weight in branch.named_parameters()}
    missing = gradients.pop("missing")
    assert missing is not None
    assert (missing == 2).all()
    assert all(gradient is None or not gradient.any() for gradient in gradients.values())


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_gradients_are_numbers_where_fields_are_empty(encoding: str) -> None:
    branch = fitted(encoding)
    rows = torch.tensor([[NAN, NAN, 0.0, 0.0], [NAN, 3.0, 1.0, 0.0], [2.0, 1e38, 2.0, 2.0]])
    branch(batch(rows)).square().sum().backward()
    for name, weight in branch.named_parameters():
        assert weight.grad is not None, name
        assert torch.isfinite(weight.grad).all(), name


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(
    "changes",
    [{"numeric": ()}, {"categorical": (), "vocabulary": {}}, {"vocabulary": {"colour": (), "shape": SHAPES}}],
    ids=["categories alone", "numbers alone", "a column without categories"],
)
def test_either_kind_of_column_will_do(encoding: str, changes: dict[str, Any]) -> None:
    source = declared(encoding=encoding, **changes)
    branch = ColumnBranch(source, BranchParameters(width=8))
    values = torch.zeros(5, source.width)
    values[:, : len(source.numeric)] = torch.arange(5.0)[:, None]
    branch.fit_structural(values)
    assert branch(batch(values)).shape == (5, 8)
    assert torch.isfinite(branch(batch(values))).all()


def test_no_products_have_no_tokens() -> None:
    assert fitted()(batch(torch.empty(0, 4))).shape == (0, 8)


def test_what_was_fitted_is_stored_with_the_weights_and_not_trained() -> None:
    branch, fresh = fitted(), ColumnBranch(declared(), BranchParameters(width=8))
    fitted_names = {"scale.center", "scale.spread", "bins.starts", "bins.widths", "seen", "offsets"}
    assert fitted_names <= set(branch.state_dict())
    assert not fitted_names & set(dict(branch.named_parameters()))
    fresh.load_state_dict(branch.state_dict())
    assert torch.equal(fresh(batch(train_rows())), branch(batch(train_rows())))


def test_a_constant_column_is_harmless() -> None:
    branch = ColumnBranch(declared(numeric=("always",), categorical=(), vocabulary={}), BranchParameters(width=8))
    branch.fit_structural(torch.full((9, 1), 12.0))
    token = branch(batch(torch.tensor([[12.0], [13.0], [NAN]])))
    assert torch.isfinite(token).all()
    assert branch.bins is not None
    assert not branch.bins(torch.tensor([[12.0], [99.0]])).any()


def test_a_model_of_columns_alone_gives_finite_prices() -> None:
    sources = {"facts": declared(), "sizes": declared(categorical=(), vocabulary={}, group="sizes")}
    model = PriceModel(sources, ModelParameters(branch=BranchParameters(width=8), fusion=AttentionFusion(heads=2)))
    rows = train_rows()
    model.fit_structural({"facts": rows, "sizes": rows[:, :2]})
    empty = torch.tensor([[NAN, NAN, 0.0, 0.0]]).expand(3, 4)
    prices = model.eval()({"facts": batch(empty), "sizes": batch(empty[:, :2])})
    assert prices.shape == (3,)
    assert torch.isfinite(prices).all()


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_all_weights_of_categories_without_numbers_are_used(encoding: str) -> None:
    source = declared(encoding=encoding, numeric=())
    branch = ColumnBranch(source, BranchParameters(width=8))
    codes = train_rows()[:, 2:]
    branch.fit_structural(codes)
    token = branch(SourceBatch(torch.empty(40, 0), codes, torch.arange(40) > 0))
    gradients = torch.autograd.grad(token.square().sum(), list(branch.parameters()))
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
