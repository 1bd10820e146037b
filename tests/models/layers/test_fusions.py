"""Fusions: attention between the tokens of one product, and nobody else's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from price_fusion.models.layers.fusions import Attention, Concat, Hierarchical, TokenAttention, build_fusion
from price_fusion.parameters import AttentionFusion, ConcatFusion, FusionParameters, HierarchicalFusion


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


GROUPS = ["image", "text", "image", "audio"]


@pytest.fixture
def hierarchical() -> Hierarchical:
    torch.manual_seed(0)
    return Hierarchical(GROUPS, 12, HierarchicalFusion(heads=3)).eval()


def test_hierarchical_attends_within_groups_first_then_across(hierarchical: Hierarchical, tokens: torch.Tensor) -> None:
    images = hierarchical.within[0](tokens[:, [0, 2]])
    expected = hierarchical.across(torch.cat([images, tokens[:, [1, 3]]], dim=1)).flatten(1)
    torch.testing.assert_close(hierarchical(tokens), expected)


def test_groups_of_a_single_source_have_nothing_to_learn(hierarchical: Hierarchical) -> None:
    assert [type(level) for level in hierarchical.within] == [TokenAttention, nn.Identity, nn.Identity]
    assert {name.split(".")[0] for name, _ in hierarchical.named_parameters() if "within" not in name} == {"across"}


def test_within_a_group_no_other_group_is_seen(hierarchical: Hierarchical, tokens: torch.Tensor) -> None:
    seen: list[torch.Tensor] = []
    hierarchical.within[0].register_forward_hook(lambda _module, _inputs, output: seen.append(output))
    hierarchical(tokens)
    changed = tokens.clone()
    changed[:, [1, 3]] += 1
    hierarchical(changed)
    torch.testing.assert_close(*seen, rtol=0, atol=0)


@pytest.mark.parametrize("source", range(4))
def test_all_tokens_see_each_source(hierarchical: Hierarchical, tokens: torch.Tensor, source: int) -> None:
    changed = tokens.clone()
    changed[:, source] += torch.linspace(-1, 1, 12)
    moved = ~torch.isclose(hierarchical(changed), hierarchical(tokens)).view(5, 4, 12)
    assert moved.any(dim=2).all()


def test_earlier_levels_go_on_to_the_features(hierarchical: Hierarchical, tokens: torch.Tensor) -> None:
    for name, weight in hierarchical.named_parameters():
        if ".output." in name:
            nn.init.zeros_(weight)  # attention then adds nothing, and what is left is the residual path
    grouped = tokens[:, [0, 2, 1, 3]]
    expected = nn.functional.layer_norm(grouped, (12,)).flatten(1)
    torch.testing.assert_close(hierarchical(tokens), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("training", [False, True])
def test_hierarchical_keeps_products_apart(hierarchical: Hierarchical, tokens: torch.Tensor, training: bool) -> None:
    hierarchical.train(training)
    tokens.requires_grad_()
    (hierarchical(tokens)[2] * torch.linspace(-1, 1, 48)).sum().backward()
    assert tokens.grad is not None
    assert not tokens.grad[[0, 1, 3, 4]].any()
    assert tokens.grad[2].any(dim=1).all()


def test_every_attention_of_the_hierarchy_learns(hierarchical: Hierarchical, tokens: torch.Tensor) -> None:
    (hierarchical(tokens) * torch.randn(48, generator=torch.Generator().manual_seed(2))).sum().backward()
    for level in (hierarchical.within[0], hierarchical.across):
        gradient = level.query_key_value.weight.grad
        query, key, value = gradient.reshape(3, 12, 12)
        assert min(part.abs().max().item() for part in (query, key, value)) > 1e-3


@pytest.mark.parametrize("groups", [["a", "b"], ["a", "a"], ["a", "b", "c"], ["a", "b", "a", "b", "a"], ["a"] * 4])
def test_hierarchical_takes_any_grouping(groups: list[str]) -> None:
    fusion = Hierarchical(groups, 12, HierarchicalFusion(heads=3))
    assert fusion.features == len(groups) * 12
    assert fusion(torch.zeros(5, len(groups), 12)).shape == (5, len(groups) * 12)


@pytest.mark.parametrize(
    ("parameters", "kind"),
    [(ConcatFusion(), Concat), (AttentionFusion(heads=3), Attention), (HierarchicalFusion(heads=3), Hierarchical)],
)
def test_builds_what_the_parameters_say(parameters: FusionParameters, kind: type[nn.Module]) -> None:
    fusion = build_fusion(parameters, GROUPS, width=12)
    assert type(fusion) is kind
    assert fusion.features == 48
    assert fusion(torch.zeros(5, 4, 12)).shape == (5, 48)
