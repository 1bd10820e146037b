"""Fusions: attention between the tokens of one product, and nobody else's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from price_fusion.fusion.models.fusions import Attention, Concat, TokenAttention, build_fusion
from price_fusion.parameters import AttentionFusion, ConcatFusion


@pytest.fixture
def attention() -> TokenAttention:
    torch.manual_seed(0)
    return TokenAttention(12, heads=3, dropout=0.1).eval()


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randn(5, 4, 12, generator=torch.Generator().manual_seed(1))


def test_concat_lays_tokens_side_by_side() -> None:
    fusion = Concat(sources=2, width=3)
    assert fusion(torch.tensor([[[1, 2, 3], [4, 5, 6]]])).tolist() == [[1, 2, 3, 4, 5, 6]]
    assert fusion.features == 6


def test_attention_is_multi_head_attention_with_residual_and_norm(
    attention: TokenAttention, tokens: torch.Tensor
) -> None:
    reference = nn.MultiheadAttention(12, 3, batch_first=True)
    reference.in_proj_weight.data = attention.query_key_value.weight.data
    reference.in_proj_bias.data = attention.query_key_value.bias.data
    reference.out_proj.load_state_dict(attention.output.state_dict())
    mixed, _ = reference(tokens, tokens, tokens, need_weights=False)
    torch.testing.assert_close(attention(tokens), attention.norm(tokens + mixed))


def test_attention_knows_no_order_of_tokens(attention: TokenAttention, tokens: torch.Tensor) -> None:
    order = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(attention(tokens[:, order]), attention(tokens)[:, order])


def test_each_token_attends_to_the_others(attention: TokenAttention, tokens: torch.Tensor) -> None:
    changed = tokens.clone()
    changed[:, 3] += 1
    assert not torch.isclose(attention(changed)[:, 0], attention(tokens)[:, 0]).all(dim=1).any()


@pytest.mark.parametrize("training", [False, True])
def test_products_do_not_see_each_other(attention: TokenAttention, tokens: torch.Tensor, training: bool) -> None:
    attention.train(training)
    tokens.requires_grad_()
    attention(tokens)[2].sum().backward()
    assert tokens.grad is not None
    assert not tokens.grad[[0, 1, 3, 4]].any()
    assert tokens.grad[2].any()


def test_queries_and_keys_learn(attention: TokenAttention, tokens: torch.Tensor) -> None:
    (attention(tokens) * torch.randn(12, generator=torch.Generator().manual_seed(2))).sum().backward()
    gradient = attention.query_key_value.weight.grad
    assert gradient is not None
    query, key, value = gradient.reshape(3, 12, 12)
    assert min(part.abs().max().item() for part in (query, key, value)) > 1e-3


def test_dropout_acts_in_training_alone(attention: TokenAttention, tokens: torch.Tensor) -> None:
    torch.testing.assert_close(attention(tokens), attention(tokens), rtol=0, atol=0)
    attention.train()
    assert not torch.equal(attention(tokens), attention(tokens))


@pytest.mark.parametrize(("parameters", "kind"), [(ConcatFusion(), Concat), (AttentionFusion(heads=3), Attention)])
def test_builds_what_the_parameters_say(parameters: ConcatFusion | AttentionFusion, kind: type[nn.Module]) -> None:
    fusion = build_fusion(parameters, sources=4, width=12)
    assert type(fusion) is kind
    assert fusion.features == 48
    assert fusion(torch.zeros(5, 4, 12)).shape == (5, 48)
