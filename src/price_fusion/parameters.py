"""What ``conf/`` may say: frozen, typed, and free of torch.

Every model forbids unknown fields, so that a misspelt key stops a run before its first node. ``ProjectParameters`` is
the whole of ``parameters.yml``; the other classes are the parts of it that single nodes ask for.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError, field_validator, model_validator

from price_fusion.errors import ParameterError

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]

LossName = Literal[
    "weighted_smape",
    "smape",
    "focal_smape",
    "hybrid_focal_smape",
    "huber",
    "weighted_huber",
    "quantile_huber",
    "adaptive_huber",
    "focal_huber",
    "mse",
    "mae",
    "log_mae",
]


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""Names of sources and variants name files, columns and namespaces, too."""


class Parameters(BaseModel):
    """Base of all parameter models: unknown fields are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


# --- data -----------------------------------------------------------------------------------------------------------


class SourceParameters(Parameters):
    """One set of embeddings. Its files are named in the catalog: ``<source>.train_embeddings`` and ``.test_embeddings``."""

    width: PositiveInt
    """Columns of the stored matrix, structural ones included."""
    group: str
    """Sources of one group (``image``, ``text``) are fused with each other first."""
    structural_columns: Annotated[int, Field(ge=0)] = 0
    """How many of the last columns are plain numbers (quantity, unit) and not part of the embedding."""
    tuned_on_ids: bool = False
    """Whether ``<source>.tuned_on_ids`` lists products whose prices the encoder was tuned on; they go to train only."""

    @property
    def embedding_width(self) -> int:
        """Columns that are embedding: ``width`` without the structural ones."""
        return self.width - self.structural_columns

    @model_validator(mode="after")
    def _leave_an_embedding(self) -> SourceParameters:
        if self.structural_columns >= self.width:
            raise ValueError(f"structural_columns {self.structural_columns} leaves nothing of width {self.width}")
        return self


class IngestionParameters(Parameters):
    """How raw files become embedding tables and a sample table."""

    dtype: Literal["float16", "float32"] = "float16"
    """Type of the stored matrices. A source with values beyond float16 is kept in float32, with a warning."""
    policy: Literal["strict", "intersect", "keep"] = "keep"
    """``strict``: each product must be in each source; ``intersect``: keep the products that all sources know; ``keep``:
    a product may lack sources."""
    unknown_products: Literal["error", "drop"] = "error"
    """What to do, under ``keep``, with labelled products that no source knows."""
    rows_per_shard: PositiveInt = 1_000_000
    """Rows of one ``vectors-NNNNN.npy``."""


class SplittingParameters(Parameters):
    """How labelled products are divided. Products that share an image or a text stay together."""

    proportions: str = "70/10/20"
    """train/validation/holdout, in any unit. ``80/20/0`` is the reference's split."""
    price_quantiles: Annotated[int, Field(ge=1)] = 10
    """Strata: each part gets its share of each price quantile."""
    folds: Annotated[int, Field(ge=2)] = 5
    """Cross-validation folds, drawn over what is not holdout."""

    @property
    def fractions(self) -> tuple[float, float, float]:
        """The proportions as fractions that sum to 1."""
        train, validation, holdout = (float(part) for part in self.proportions.split("/"))
        total = train + validation + holdout
        return train / total, validation / total, holdout / total

    @field_validator("proportions")
    @classmethod
    def _three_parts(cls, value: str) -> str:
        try:
            parts = [float(part) for part in value.split("/")]
        except ValueError:
            parts = []
        if len(parts) != 3 or not all(0 <= part < float("inf") for part in parts) or not (parts[0] and parts[1]):
            raise ValueError(
                f"{value!r} is not train/validation/holdout such as 70/10/20, with train and validation > 0"
            )
        return value


class FabricationParameters(Parameters):
    """The made-up sample that ``fabricate`` writes."""

    labelled: Annotated[int, Field(ge=100)] = 3_000
    """Products in train.csv."""
    unlabelled: Annotated[int, Field(ge=10)] = 1_000
    """Products in test.csv."""
    without_image: Fraction = 0.02
    """Share of the products that are in no image source."""
    shared_image: Fraction = 0.04
    """Share of the products that show another product's image."""


class ComparisonParameters(Parameters):
    """The leaderboard and its yardsticks."""

    resamples: Annotated[int, Field(ge=100)] = 2_000
    """Resamples of the bootstrap intervals."""
    lightgbm_rounds: PositiveInt = 2_000
    """Trees of LightGBM at most; early stopping on the validation rows usually ends sooner."""
    lightgbm_threads: Annotated[int, Field(ge=0)] = 0
    """Threads of LightGBM; 0: all cores."""


# --- models ---------------------------------------------------------------------------------------------------------


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

    @model_validator(mode="after")
    def _heads_divide_width(self) -> ModelParameters:
        if not isinstance(self.fusion, ConcatFusion) and self.branch.width % self.fusion.heads:
            raise ValueError(
                f"fusion.heads {self.fusion.heads} does not divide branch.width {self.branch.width}: "
                "choose a width that is a multiple of the heads"
            )
        return self


# --- training -------------------------------------------------------------------------------------------------------


class TrainParameters(Parameters):
    """How one variant is trained."""

    loss: LossName = "log_mae"
    then_loss: LossName | None = None
    """Another loss for a second phase."""
    then_from_epoch: Annotated[int, Field(ge=2)] | None = None
    """First epoch of the second phase."""
    epochs: PositiveInt = 1_000
    """At most; early stopping usually ends sooner."""
    batch_size: PositiveInt = 256
    learning_rate: Positive = 1e-3
    betas: tuple[Fraction, Fraction] = (0.9, 0.999)
    weight_decay: Annotated[float, Field(ge=0.0)] = 1e-4
    gradient_clip: Positive = 1.0
    """Largest norm of the gradient of all weights together."""
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    """``plateau``: the rate drops when validation SMAPE stalls; ``cosine``: it falls to the minimum over all epochs."""
    warmup_epochs: Annotated[float, Field(ge=0.0)] = 0.0
    """Epochs, or part of one, in which the rate rises from 0 first."""
    plateau_patience: Annotated[int, Field(ge=0)] = 3
    """Epochs without a better validation SMAPE before the learning rate drops."""
    plateau_factor: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.5
    min_learning_rate: Annotated[float, Field(ge=0.0)] = 1e-6
    early_stopping_patience: PositiveInt = 15
    """Epochs without a better validation SMAPE before training ends."""
    ema_decay: Fraction = 0.0
    """Validate and keep an exponential moving average of the weights, with this decay per step; 0: the weights themselves."""
    source_dropout: Fraction = 0.0
    """Probability that a source of a product is hidden in a training step. The last one is never hidden."""
    checkpoint_every: PositiveInt = 100
    """Epochs between the checkpoints kept beside the best one."""
    resume: bool = False
    """Go on from the last state in the run folder, if there is one."""
    state_every: Annotated[float, Field(ge=0.0)] = 60.0
    """Seconds between saves of the state that ``resume`` needs; it is also saved when training ends."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["auto", "bf16", "float32"] = "auto"
    """``auto``: bf16 matrix products where the machine has them, weights always in float32."""
    features_gb: Positive | None = None
    """Memory (1e9 bytes) that embeddings may take on the device; above it they are read window by window. None: 70 % of
    the free memory of a GPU; no limit on the CPU, where they stay memory-mapped."""
    cuda_graph: bool = True
    """On a GPU, record the training step once and replay it."""

    @model_validator(mode="after")
    def _second_phase_is_whole(self) -> TrainParameters:
        if (self.then_loss is None) != (self.then_from_epoch is None):
            raise ValueError("then_loss and then_from_epoch go together: set both or neither")
        return self

    def loss_at(self, epoch: int) -> LossName:
        """The loss of an epoch; the first epoch is 1."""
        if self.then_loss is not None and self.then_from_epoch is not None and epoch >= self.then_from_epoch:
            return self.then_loss
        return self.loss


class VariantParameters(Parameters):
    """A named model configuration."""

    sources: Annotated[tuple[str, ...], Field(min_length=1)]
    """Names of the sources that it fuses, as declared under ``sources``."""
    model: ModelParameters
    train: TrainParameters

    @field_validator("sources")
    @classmethod
    def _no_repeats(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"names a source twice: {', '.join(value)}")
        return value

    @model_validator(mode="after")
    def _something_to_attend_to(self) -> VariantParameters:
        kind = self.model.fusion.kind
        if kind != "concat" and len(self.sources) < 2:
            raise ValueError(f"fusion {kind!r} needs at least two sources: use 'concat', or name another source")
        return self


class InferenceParameters(Parameters):
    """How unlabelled products are priced."""

    precision: Literal["float32", "bf16", "auto"] = "float32"
    """Of matrix products; ``auto``: bf16 where the machine has it."""


# --- the whole ------------------------------------------------------------------------------------------------------


class ProjectParameters(BaseModel):
    """All of ``parameters.yml``. Each top-level key that is not a field below is a variant of that name."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[Name, VariantParameters]

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    variants: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Variants that get pipelines, in the order in which ``compare`` lists them."""
    sources: dict[Name, SourceParameters]
    ingestion: IngestionParameters
    splitting: SplittingParameters
    fabrication: FabricationParameters
    inference: InferenceParameters
    comparison: ComparisonParameters

    def variant(self, name: str) -> VariantParameters:
        """The parameters of a variant that ``variants`` names."""
        return self.__pydantic_extra__[name]

    @property
    def used_sources(self) -> tuple[str, ...]:
        """Sources that some variant in ``variants`` fuses, in the order of their declaration."""
        used = {source for name in self.variants for source in self.variant(name).sources}
        return tuple(source for source in self.sources if source in used)


def parse_project_parameters(raw: Mapping[str, Any]) -> ProjectParameters:
    """Check all parameters at once.

    Args:
        raw: what the configuration loader merged from ``conf/`` and ``--params``. Keys with a leading underscore are left
            out: they hold YAML anchors.

    Raises:
        ParameterError: listing every field that is wrong, with the nearest known name for a misspelt one.
    """
    raw = {str(key): value for key, value in raw.items() if not str(key).startswith("_")}  # anchors for other sections
    known = list(ProjectParameters.model_fields)
    variants = raw.get("variants")
    declared = [str(name) for name in variants] if isinstance(variants, list | tuple) else []
    problems = [
        f"{key}: neither a section nor a variant{_did_you_mean(key, [*known, *declared])}"
        for key in raw
        if key not in known and key not in declared and not _looks_like_variant(raw[key])
    ]
    parsed: ProjectParameters | None = None
    if not problems:
        try:
            parsed = ProjectParameters.model_validate(raw)
        except ValidationError as error:
            problems = _describe(error)
    if parsed is not None:
        problems = _inconsistencies(parsed)
    if parsed is None or problems:
        listing = "\n".join(f"  - {problem}" for problem in problems)
        raise ParameterError(
            f"{len(problems)} wrong parameter(s):\n{listing}\n"
            "Mend them in conf/<environment>/**/parameters.yml or in --params; "
            "src/price_fusion/parameters.py lists every field with its meaning."
        )
    return parsed


def _looks_like_variant(value: object) -> bool:
    return isinstance(value, Mapping) and "model" in value


def _inconsistencies(parameters: ProjectParameters) -> list[str]:
    defined = list(parameters.__pydantic_extra__)
    problems = [
        f"variants: {name!r} has no section of its own{_did_you_mean(name, defined)}"
        for name in parameters.variants
        if name not in defined
    ]
    problems += [
        f"variants: {name!r} is listed twice" for name, count in Counter(parameters.variants).items() if count > 1
    ]
    problems += [
        f"{name}.sources: {source!r} is not declared under sources{_did_you_mean(source, parameters.sources)}"
        for name in parameters.variants
        if name in defined
        for source in parameters.variant(name).sources
        if source not in parameters.sources
    ]
    return problems


def _describe(error: ValidationError) -> list[str]:
    """One line per wrong field: its path, what is wrong, and the value found."""
    lines = []
    for problem in error.errors(include_url=False):
        path = ".".join(str(part) for part in problem["loc"])
        if problem["type"] == "extra_forbidden":
            name = str(problem["loc"][-1])
            lines.append(f"{path}: unknown parameter{_did_you_mean(name, sorted(_all_fields() - {name}))}")
        elif problem["type"] == "missing":
            lines.append(f"{path}: missing")
        else:
            lines.append(f"{path}: {problem['msg']} (found {problem['input']!r})")
    return lines


def _all_fields() -> set[str]:
    """Names of all fields of all models: candidates for what a misspelt field was meant to be."""
    return {field for model in Parameters.__subclasses__() for field in model.model_fields}


def _did_you_mean(name: str, candidates: Iterable[str]) -> str:
    known = list(candidates)
    matches = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {matches[0]!r}?" if matches else f"; known: {', '.join(known)}"
