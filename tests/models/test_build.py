"""Whole models: each product by itself, in every composition, and as large as they should be."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml

from price_fusion.models.build import PriceModel
from price_fusion.models.counts import REFERENCE_COUNTS, parameter_counts
from price_fusion.models.layers.branches import SourceBatch
from price_fusion.parameters import (
    AttentionFusion,
    BranchParameters,
    HierarchicalFusion,
    MixtureHead,
    MlpHead,
    ModelParameters,
    SourceParameters,
)

Batch = dict[str, SourceBatch]

CONF = Path(__file__).parents[2] / "conf"

REFERENCE_SOURCES = {
    "clip_image": SourceParameters(width=768, group="image"),
    "siglip_image": SourceParameters(width=1152, group="image"),
    "siglip_text": SourceParameters(width=1024, group="text"),
    "qwen_text": SourceParameters(width=1027, group="text", structural_columns=3),
}
TWO = {name: REFERENCE_SOURCES[name] for name in ("clip_image", "qwen_text")}
ROWS = 9


@pytest.fixture
def model(tiny_sources: dict[str, SourceParameters], tiny_model_parameters: ModelParameters) -> PriceModel:
    torch.manual_seed(0)
    made = PriceModel(tiny_sources, tiny_model_parameters)
    for name, weight in made.named_parameters():
        if name.endswith(".missing"):
            weight.data.normal_()
    return made.eval()


@pytest.fixture
def batch() -> Batch:
    """Nine products; the second lacks its picture, the third its words, the fourth both."""
    generator = torch.Generator().manual_seed(1)
    present = torch.ones(2, ROWS, dtype=torch.bool)
    present[0, [1, 3]] = False
    present[1, [2, 3]] = False
    return {
        "picture": SourceBatch(torch.randn(ROWS, 5, generator=generator), torch.empty(ROWS, 0), present[0]),
        "words": SourceBatch(
            torch.randn(ROWS, 6, generator=generator), torch.rand(ROWS, 3, generator=generator) * 10, present[1]
        ),
    }


def rows_of(batch: Batch, rows: torch.Tensor | slice) -> Batch:
    return {name: SourceBatch(*(values[rows] for values in source)) for name, source in batch.items()}


@pytest.mark.parametrize("size", [1, 2, 7])
def test_a_row_is_the_same_alone_and_in_any_batch(model: PriceModel, batch: Batch, size: int) -> None:
    together = model(batch)
    assert together.shape == (ROWS,)
    assert together.dtype == torch.float32
    assert together.std() > 1e-3
    parts = [model(rows_of(batch, slice(start, start + size))) for start in range(0, ROWS, size)]
    torch.testing.assert_close(torch.cat(parts), together, rtol=1e-4, atol=0)


def test_the_order_of_rows_does_not_matter(model: PriceModel, batch: Batch) -> None:
    order = torch.randperm(ROWS, generator=torch.Generator().manual_seed(2))
    torch.testing.assert_close(model(rows_of(batch, order)), model(batch)[order], rtol=1e-4, atol=0)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("row", [0, 4])
def test_no_row_moves_another(model: PriceModel, batch: Batch, training: bool, row: int) -> None:
    model.train(training)
    inputs = [values.requires_grad_() for source in batch.values() for values in source[:2] if values.numel()]
    assert len(inputs) == 3
    gradients = torch.autograd.grad(model(batch)[row], inputs)
    others = torch.arange(ROWS) != row
    for gradient in gradients:
        assert not gradient[others].any()
        assert gradient[row].any()


def test_missing_sources_hide_what_their_rows_hold(model: PriceModel, batch: Batch) -> None:
    expected = model(batch)
    for source in batch.values():
        source.vectors[~source.present] = -65_504.0
        source.structural[~source.present] = 1e30
    torch.testing.assert_close(model(batch), expected, rtol=0, atol=0)


def test_products_that_lack_everything_are_alike(model: PriceModel, batch: Batch) -> None:
    unknown = {name: source._replace(present=torch.zeros(ROWS, dtype=torch.bool)) for name, source in batch.items()}
    prices = model(unknown)
    torch.testing.assert_close(prices, prices[:1].expand(ROWS))


def test_lengths_of_embeddings_change_nothing(model: PriceModel, batch: Batch) -> None:
    longer = {name: source._replace(vectors=7 * source.vectors) for name, source in batch.items()}
    torch.testing.assert_close(model(longer), model(batch), rtol=1e-4, atol=1e-5)


def test_a_model_of_no_rows_gives_none(model: PriceModel, batch: Batch) -> None:
    assert model(rows_of(batch, slice(0, 0))).shape == (0,)


def test_all_weights_learn(model: PriceModel, batch: Batch) -> None:
    model(batch).square().sum().backward()
    assert [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()] == []


def test_the_same_seed_gives_the_same_weights(
    tiny_sources: dict[str, SourceParameters], tiny_model_parameters: ModelParameters
) -> None:
    torch.manual_seed(3)
    first = PriceModel(tiny_sources, tiny_model_parameters).state_dict()
    torch.manual_seed(3)
    second = PriceModel(tiny_sources, tiny_model_parameters).state_dict()
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_refuses_a_source_name_with_a_dot() -> None:
    with pytest.raises(KeyError, match="module name"):
        PriceModel({"clip.image": SourceParameters(width=4, group="image")}, ModelParameters())


def test_a_hierarchy_keeps_products_apart_and_is_the_same_in_any_batch(
    grouped_sources: dict[str, SourceParameters],
) -> None:
    torch.manual_seed(0)
    parameters = ModelParameters(branch=BranchParameters(width=8), fusion=HierarchicalFusion(heads=2))
    model = PriceModel(grouped_sources, parameters).eval()
    generator = torch.Generator().manual_seed(1)
    batch = {
        name: SourceBatch(
            torch.randn(ROWS, source.embedding_width, generator=generator).requires_grad_(),
            torch.rand(ROWS, source.structural_columns, generator=generator),
            torch.rand(ROWS, generator=generator) < 0.8,
        )
        for name, source in grouped_sources.items()
    }
    together = model(batch)
    alone = torch.cat([model(rows_of(batch, slice(row, row + 1))) for row in range(ROWS)])
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-6)
    for gradient in torch.autograd.grad(together[4], [source.vectors for source in batch.values()]):
        assert not gradient[torch.arange(ROWS) != 4].any()


def counts(sources: dict[str, SourceParameters], parameters: ModelParameters) -> dict[str, int]:
    with torch.device("meta"):
        model = PriceModel(sources, parameters)
    found = parameter_counts(model)
    assert found["total"] == sum(weight.numel() for weight in model.parameters())
    return found


def differences(variant: str, sources: dict[str, SourceParameters], parameters: ModelParameters) -> dict[str, int]:
    """By how much ours is larger than the reference's, where it is of another size."""
    ours, theirs = counts(sources, parameters), REFERENCE_COUNTS[variant]
    assert list(ours) == [*(f"branches.{name}" for name in sources), "fusion", "head", "total"]
    assert ours.keys() == theirs.keys()
    return {name: count - theirs[name] for name, count in ours.items() if count != theirs[name]}


LEARNED_VECTOR = 512
"""Stands in for a missing source."""
WITH_NORMS = BranchParameters(learned_scale=False, layer_norm=True)


@pytest.mark.parametrize("variant", REFERENCE_COUNTS)
def test_the_components_of_the_reference_add_up(variant: str) -> None:
    counts = dict(REFERENCE_COUNTS[variant])
    assert counts.pop("total") == sum(counts.values())


@pytest.mark.parametrize(
    ("variant", "total"),
    [("two_branch", 1_613_059), ("moe", 4_571_912), ("four_branch", 4_832_513), ("hierarchical", 13_476_870)],
)
def test_the_preset_fuses_what_the_reference_does(variant: str, total: int) -> None:
    """The counts below are of what ``--env reference`` trains, not of copies of it in this file."""
    read = [
        yaml.safe_load((CONF / name).read_text())
        for name in (
            "base/ingestion/parameters.yml",
            "reference/parameters.yml",
            "reference/parameters_sources.yml",
        )
    ]
    declared, composed, preset = read[0]["sources"], read[1][variant]["model"], read[2][variant]["sources"]
    sources = {name: SourceParameters.model_validate(declared[name]) for name in preset}
    assert sources == {name: REFERENCE_SOURCES[name] for name in preset}
    assert [f"branches.{name}" for name in sources] == [
        name for name in REFERENCE_COUNTS[variant] if name.startswith("branches.")
    ]
    assert counts(sources, ModelParameters.model_validate(composed))["total"] == total


def test_two_branch_is_as_large_as_the_references() -> None:
    parameters = ModelParameters(head=MlpHead(hidden=(512, 256, 128), residual=True))
    residual_bias = 1  # ours has none: it would double that of the output layer
    assert differences("two_branch", TWO, parameters) == {
        **{f"branches.{name}": LEARNED_VECTOR for name in TWO},
        "head": -residual_bias,
        "total": 2 * LEARNED_VECTOR - residual_bias,
    }
    assert counts(TWO, parameters)["total"] == 1_613_059


def test_moe_differs_from_the_references_by_its_attention() -> None:
    parameters = ModelParameters(
        fusion=AttentionFusion(heads=8), head=MixtureHead(experts=3, hidden=(512, 256, 128), gate_hidden=512)
    )
    # Four projections with biases and a LayerNorm: over the fused 1024 features there, over tokens of 512 here.
    theirs, ours = (4 * (width * width + width) + 2 * width for width in (1024, 512))
    assert differences("moe", TWO, parameters) == {
        **{f"branches.{name}": LEARNED_VECTOR for name in TWO},
        "fusion": ours - theirs,
        "total": ours - theirs + 2 * LEARNED_VECTOR,
    }
    assert counts(TWO, parameters)["total"] == 4_571_912


def test_four_branch_differs_from_the_references_by_its_layer_norms() -> None:
    parameters = ModelParameters(branch=WITH_NORMS, head=MlpHead(hidden=(1024, 512, 256, 128), residual=False))
    layer_norms = 2 * (1024 + 512 + 256 + 128)  # in the MLP, where the reference has none
    assert differences("four_branch", REFERENCE_SOURCES, parameters) == {
        **{f"branches.{name}": LEARNED_VECTOR for name in REFERENCE_SOURCES},
        "head": layer_norms,
        "total": layer_norms + 4 * LEARNED_VECTOR,
    }
    assert counts(REFERENCE_SOURCES, parameters)["total"] == 4_832_513


def test_hierarchical_differs_from_the_references_by_its_layer_norms() -> None:
    parameters = ModelParameters(
        branch=WITH_NORMS,
        fusion=HierarchicalFusion(heads=8),
        head=MixtureHead(experts=3, hidden=(1024, 512, 256), gate_hidden=0),
    )
    layer_norms = 3 * 2 * (1024 + 512 + 256)  # in the experts, where the reference has none
    assert differences("hierarchical", REFERENCE_SOURCES, parameters) == {
        **{f"branches.{name}": LEARNED_VECTOR for name in REFERENCE_SOURCES},
        "head": layer_norms,
        "total": layer_norms + 4 * LEARNED_VECTOR,
    }
    assert counts(REFERENCE_SOURCES, parameters)["total"] == 13_476_870
