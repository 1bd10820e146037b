"""How a model is composed."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, PositiveInt, model_validator

from price_fusion.parameters.base import Fraction, Parameters


class BranchParameters(Parameters):
    """What happens to each source before fusion: normalise, scale, project."""

    width: PositiveInt = 512
    """Width that each source is projected to: one token per source."""
    normalise: Literal["l2", "none"] = "l2"
    """Whether embeddings are brought to unit length first."""
    learned_scale: bool = True
    """One learned factor per source, between normalising and projecting."""
    layer_norm: bool = False
    """LayerNorm on the projected token."""
    input_dropout: Fraction = 0.0
    """Share of a vector's numbers that a training step leaves out at random, before they are projected; structural columns
    and columns of the product table are never left out."""


class ConcatFusion(Parameters):
    """Tokens side by side."""

    kind: Literal["concat"] = "concat"


class AttentionFusion(Parameters):
    """Self-attention between the tokens of one product, with residual and LayerNorm; then side by side."""

    kind: Literal["attention"] = "attention"
    heads: PositiveInt = 8
    dropout: Fraction = 0.1


class HierarchicalFusion(Parameters):
    """Attention between the sources of each group first, then between all; each with residual and LayerNorm."""

    kind: Literal["hierarchical"] = "hierarchical"
    heads: PositiveInt = 8
    dropout: Fraction = 0.1


FusionParameters = ConcatFusion | AttentionFusion | HierarchicalFusion


class MlpHead(Parameters):
    """Layers of Linear, LayerNorm, GELU and dropout, then one output."""

    kind: Literal["mlp"] = "mlp"
    hidden: tuple[PositiveInt, ...] = (512, 256, 128)
    dropout: Fraction = 0.25
    residual: bool = True
    """Add a linear map from the fused features straight to the output."""


class MixtureHead(Parameters):
    """Experts (each an MLP) averaged by a softmax gate that sees the same features."""

    kind: Literal["mixture"] = "mixture"
    experts: Annotated[int, Field(ge=2)] = 3
    hidden: tuple[PositiveInt, ...] = (512, 256, 128)
    gate_hidden: Annotated[int, Field(ge=0)] = 512
    """Width of the gate's hidden layer; 0: the gate is one linear map."""
    dropout: Fraction = 0.25


class ModelParameters(Parameters):
    """A model: one branch per source, a fusion, a head."""

    branch: BranchParameters = BranchParameters()
    fusion: Annotated[FusionParameters, Field(discriminator="kind")] = ConcatFusion()
    head: Annotated[MlpHead | MixtureHead, Field(discriminator="kind")] = MlpHead()
    monotone_in_amount: bool = False
    """Whether more of a product, all else equal, never costs less: by construction, where a source is parsed as ``quantity``."""

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelParameters:
        if not isinstance(self.fusion, ConcatFusion) and self.branch.width % self.fusion.heads:
            raise ValueError(
                f"fusion.heads {self.fusion.heads} does not divide branch.width {self.branch.width}: "
                "choose a width that is a multiple of the heads"
            )
        return self
