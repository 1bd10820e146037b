"""Branches: what of a source's values reaches its token, and what cannot."""

from __future__ import annotations

import doctest

import pytest
import torch

from price_fusion.models.layers import branches
from price_fusion.models.layers.branches import Branch, SourceBatch
from price_fusion.parameters import BranchParameters

PARAMETERS = BranchParameters(width=8)


def branch(width: int = 6, structural: int = 0, parameters: BranchParameters = PARAMETERS) -> Branch:
    torch.manual_seed(0)
    made = Branch(width, structural, parameters)
    made.missing.data.normal_()
    return made


def batch(rows: int = 4, width: int = 6, structural: int = 0) -> SourceBatch:
    generator = torch.Generator().manual_seed(1)
    return SourceBatch(
        torch.randn(rows, width, generator=generator),
        torch.rand(rows, structural, generator=generator) * 10,
        torch.ones(rows, dtype=torch.bool),
    )


def test_the_example_in_the_docstring_runs() -> None:
    results = doctest.testmod(branches)
    assert results.attempted > 0
    assert results.failed == 0


@pytest.mark.parametrize("factor", [7.0, 0.01, 1e4])
def test_the_length_of_a_vector_changes_nothing(factor: float) -> None:
    values = batch()
    longer = values._replace(vectors=values.vectors * factor)
    torch.testing.assert_close(branch()(longer), branch()(values))


def test_without_normalising_the_length_counts() -> None:
    plain, values = branch(parameters=BranchParameters(width=8, normalise="none")), batch()
    longer = values._replace(vectors=values.vectors * 7)
    torch.testing.assert_close(plain(longer) - plain.projection.bias, 7 * (plain(values) - plain.projection.bias))


def test_a_token_is_the_scaled_unit_vector_projected() -> None:
    made, values = branch(), batch()
    assert made.scale is not None
    made.scale.data.fill_(3.0)
    unit = values.vectors / values.vectors.norm(dim=1, keepdim=True)
    expected = 3 * unit @ made.projection.weight.T + made.projection.bias
    torch.testing.assert_close(made(values), expected)


def test_the_scale_can_be_left_out() -> None:
    made = branch(parameters=BranchParameters(width=8, learned_scale=False))
    assert "scale" not in dict(made.named_parameters())
    torch.testing.assert_close(made(batch()), branch()(batch()))


def test_layer_norm_brings_tokens_to_mean_zero_and_unit_spread() -> None:
    token = branch(parameters=BranchParameters(width=64, layer_norm=True))(batch())
    torch.testing.assert_close(token.mean(dim=1), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(token.std(dim=1, correction=0), torch.ones(4), atol=1e-2, rtol=0)


def test_a_zero_vector_has_a_finite_token_and_gradient() -> None:
    vectors = torch.zeros(2, 6, requires_grad=True)
    token = branch()(batch(rows=2)._replace(vectors=vectors))
    token.sum().backward()
    assert torch.isfinite(token).all()
    assert vectors.grad is not None
    assert torch.isfinite(vectors.grad).all()


def test_float16_values_are_computed_in_float32() -> None:
    values = batch()
    # The sum of squares of these overflows float16.
    half = values._replace(vectors=(values.vectors * 20_000).half())
    token = branch()(half)
    assert token.dtype == torch.float32
    torch.testing.assert_close(token, branch()(values._replace(vectors=half.vectors.float())))


@pytest.mark.parametrize("garbage", [0.0, -3.0, 65_504.0, 1e30])
def test_a_missing_source_is_its_learned_vector_whatever_the_row_holds(garbage: float) -> None:
    made, values = branch(structural=2), batch(structural=2)
    before = made(values)
    values.present[1] = False
    values.vectors[1] = garbage
    values.structural[1] = garbage
    token = made(values)
    torch.testing.assert_close(token[1], made.missing, rtol=0, atol=0)
    torch.testing.assert_close(token[[0, 2, 3]], before[[0, 2, 3]], rtol=0, atol=0)


def test_a_missing_source_teaches_its_learned_vector_alone() -> None:
    made, values = branch(structural=2), batch(rows=1, structural=2)
    values.present[0] = False
    values.vectors[0] = 65_504.0
    made(values).sum().backward()
    gradients = {name: parameter.grad for name, parameter in made.named_parameters()}
    missing = gradients.pop("missing")
    assert missing is not None
    assert (missing == 1).all()
    assert all(gradient is None or not gradient.any() for gradient in gradients.values())


def test_present_sources_do_not_teach_the_learned_vector() -> None:
    made = branch()
    made(batch()).sum().backward()
    assert made.missing.grad is not None
    assert not made.missing.grad.any()


def test_structural_statistics_are_median_and_interquartile_range() -> None:
    made = branch(structural=2)
    made.fit_structural(torch.tensor([[1.0, 0.0], [2.0, 10.0], [3.0, 20.0], [4.0, 30.0], [46_752.0, 40.0]]))
    assert made.structural_scale.center.tolist() == [3.0, 20.0]
    assert made.structural_scale.spread.tolist() == [2.0, 20.0]


def test_a_column_with_a_constant_middle_is_scaled_by_its_deviation() -> None:
    made = branch(structural=2)
    made.fit_structural(torch.tensor([[1.0, 5.0]] * 9 + [[11.0, 5.0]]))
    assert made.structural_scale.spread.tolist() == pytest.approx([3.0, 1.0])


def test_no_rows_leave_the_statistics_neutral() -> None:
    made = branch(structural=2)
    made.fit_structural(torch.empty(0, 2))
    assert made.structural_scale.center.tolist() == [0, 0]
    assert made.structural_scale.spread.tolist() == [1, 1]


def test_statistics_are_stored_with_the_weights_and_not_trained() -> None:
    made = branch(structural=2)
    statistics = {"structural_scale.center", "structural_scale.spread"}
    assert statistics <= set(made.state_dict())
    assert not statistics & set(dict(made.named_parameters()))


def test_structural_values_are_scaled_and_squashed() -> None:
    made, values = branch(structural=1), batch(rows=3, structural=1)
    assert made.structural is not None
    made.structural_scale.center.fill_(10.0)
    made.structural_scale.spread.fill_(5.0)
    values.structural[:, 0] = torch.tensor([10.0, 20.0, 5.0])
    added = made(values) - branch()(values._replace(structural=torch.empty(3, 0)))
    factors = torch.tensor([0.0, 2.0, -1.0])
    expected = (factors.sign() * factors.abs().log1p())[:, None] * made.structural.weight[:, 0]
    torch.testing.assert_close(added, expected)


def test_an_absurd_structural_value_moves_the_token_a_little() -> None:
    made, values = branch(structural=1), batch(rows=1, structural=1)
    assert made.structural is not None
    made.fit_structural(torch.tensor([[1.0], [8.0], [12.0], [16.0], [64.0]]))
    values.structural[0] = 12.0
    usual = made(values)
    values.structural[0] = 46_752.0
    moved = (made(values) - usual).norm()
    # log(1 + 46740 / 8) is 8.7: not thousands.
    assert 8 < moved / made.structural.weight.norm() < 9


def test_structural_values_leave_the_embedding_its_length() -> None:
    made, values = branch(structural=1), batch(rows=1, structural=1)
    values.structural[0] = 46_752.0
    other = values._replace(vectors=-values.vectors)
    expected = 2 * (values.vectors / values.vectors.norm()) @ made.projection.weight.T
    torch.testing.assert_close(made(values) - made(other), expected, atol=1e-5, rtol=1e-4)


def test_input_dropout_leaves_numbers_of_the_vector_out_in_training_alone() -> None:
    made = branch(width=512, structural=1, parameters=BranchParameters(width=8, input_dropout=0.5))
    values = batch(width=512, structural=1)
    whole = made.eval()(values)
    torch.testing.assert_close(whole, branch(width=512, structural=1)(values))
    made.train()
    assert not torch.allclose(made(values), whole, atol=0.01)
    many = torch.stack([made(values) for _ in range(400)])
    torch.testing.assert_close(many.mean(dim=0), whole, atol=0.05, rtol=0)  # vector and columns alike are unbiased


def test_input_dropout_never_touches_structural_columns() -> None:
    made = branch(structural=2, parameters=BranchParameters(width=8, input_dropout=0.9)).train()
    values = batch(structural=2)
    made.projection.weight.data.zero_()
    torch.testing.assert_close(made(values), made.eval()(values), rtol=0, atol=0)


def test_input_dropout_scales_large_float16_values_up_without_overflow() -> None:
    made = branch(parameters=BranchParameters(width=8, input_dropout=0.5)).train()
    values = batch()._replace(vectors=torch.full((4, 6), 60_000.0, dtype=torch.float16))
    assert made(values).isfinite().all()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert made(values).isfinite().all()
