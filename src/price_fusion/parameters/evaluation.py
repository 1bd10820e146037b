"""How models are measured, blended and used."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field, PositiveInt, field_validator, model_validator

from price_fusion.lazy import install_command
from price_fusion.parameters.base import Gigabytes, Name, Parameters, Positive, no_repeats

EstimatorKind = Literal["ridge", "kernel_ridge", "neighbours", "lightgbm", "catboost", "tabicl"]
ESTIMATOR_KINDS: tuple[EstimatorKind, ...] = get_args(EstimatorKind)
"""Models beside the variants that an ensemble may have; the last three need extras."""


class ComparisonParameters(Parameters):
    """The leaderboard and its baselines."""

    resamples: Annotated[int, Field(ge=100)] = 2_000
    """Resamples of the bootstrap intervals."""
    boosting_rounds: PositiveInt = 2_000
    """Trees of LightGBM and CatBoost at most; early stopping usually ends sooner."""
    boosting_threads: Annotated[int, Field(ge=0)] = 0
    """Threads of LightGBM and CatBoost; 0: all cores."""
    kernel_memory_gb: Gigabytes = 2.0
    """What the kernel of ``kernel_ridge`` between its fit rows may take, in 1e9 bytes: 2 are enough for 15,811 rows. With more
    fit rows, a random sample of them are its centres."""
    tabicl_checkpoint: str = ""
    """Path of a regression checkpoint of TabICL, relative to the folder that the run is started in, or absolute; nothing is
    downloaded. Empty: the leaderboard leaves ``tabicl`` out."""
    tabicl_columns: PositiveInt = 64
    """Principal components that ``tabicl`` sees of each source's embedding, and of its other columns where they are more."""
    tabicl_memory_gb: Gigabytes = 4.0
    """What embeddings of the fit rows may take in ``tabicl``, in 1e9 bytes. With more fit rows than that is enough for, it
    sees a random sample of them."""

    @field_validator("tabicl_checkpoint")
    @classmethod
    def _usable_checkpoint(cls, value: str) -> str:
        # Otherwise it would be found out only after the variants were trained.
        if value and not Path(value).expanduser().is_file():
            raise ValueError(
                f"names a file that is not there: {Path(value).expanduser().absolute()}. Nothing is downloaded: docs/models.md, "
                '"TabICL", says where to get one. Empty: tabicl is left out'
            )
        if value and find_spec("tabicl") is None:
            raise ValueError(
                f"names a checkpoint, but the package tabicl is not installed: {install_command('tabicl')}. Empty: tabicl is left out"
            )
        return value


class InferenceParameters(Parameters):
    """How unlabelled products are predicted."""

    precision: Literal["float32", "bf16", "auto"] = "float32"
    """Of matrix products; ``auto``: bf16 where the machine has it."""
    intervals_in_submission: bool = False
    """Whether ``test_out.csv`` has the columns of the intervals, too. They always are in ``price_intervals.csv``."""


class IntervalParameters(Parameters):
    """Intervals around predicted prices."""

    levels: Annotated[
        tuple[Annotated[float, Field(gt=0.0, lt=1.0)], ...], Field(min_length=1), no_repeats("a level")
    ] = (0.8, 0.9)
    """How often the true price shall be inside. The first level has the columns ``price_low`` and ``price_high``, the
    others a percentage behind it: ``price_low_90``."""


class PriceGroupParameters(Parameters):
    """Groups by true or predicted price that figures are given for."""

    bins: tuple[Positive, ...] | None = None
    """Edges between bins, ascending, in the currency of the prices. None: by quantiles of the train prices."""
    ranges: dict[str, Annotated[float, Field(ge=0.0)]] | None = None
    """Lower edge of each range by its name, ascending from 0. None: by quantiles of the train prices."""

    @model_validator(mode="after")
    def _ascending(self) -> PriceGroupParameters:
        lows = list((self.ranges or {"": 0.0}).values())
        for name, edges in (("bins", list(self.bins or (1.0,))), ("ranges", lows)):
            if edges != sorted(set(edges)):
                raise ValueError(f"{name}: expected edges in ascending order, each once")
        if lows[:1] != [0.0]:
            raise ValueError("ranges: expected the first to begin at 0")
        return self


class CrossValidationParameters(Parameters):
    """``cross_validate_<variant>``; its folds are those of the split (``splitting.folds``)."""

    seeds: PositiveInt = 1
    """Models per fold."""


class EnsemblePreset(Parameters):
    """What an ensemble is made of."""

    members: Annotated[tuple[Name, ...], Field(min_length=1), no_repeats("a member")]
    """Variants, and estimators: ridge, kernel_ridge, neighbours, lightgbm, catboost, tabicl."""
    seeds: PositiveInt = 1
    """Models of each variant per fold: they give weights and intervals."""
    refits: Annotated[int, Field(ge=0)] = 5
    """Models of each variant on all rows but the holdout (of an estimator, which draws nothing, one): they give prices. 0:
    the folds' models do."""


class EnsembleParameters(Parameters):
    """``ensemble``: members weighed by their out-of-fold predictions."""

    preset: str
    """Which of ``presets`` to take."""
    presets: dict[str, EnsemblePreset]
    weights: Literal["greedy", "convex"] = "greedy"
    """How weights are found; both are non-negative and minimise out-of-fold SMAPE."""
    failed_members: Literal["error", "leave_out"] = "error"
    """Whether a member whose training fails ends the run, or is named and left out."""

    @property
    def chosen(self) -> EnsemblePreset:
        """The preset to take."""
        return self.presets[self.preset]

    def has_final_fit(self, *, wanted: bool) -> bool:
        """Whether a final fit predicts new products: not where the folds' models do, as whoever set that wants no others."""
        return wanted and self.chosen.refits > 0

    @model_validator(mode="after")
    def _preset_exists(self) -> EnsembleParameters:
        if self.preset not in self.presets:
            raise ValueError(f"preset {self.preset!r} is none of presets: {', '.join(self.presets)}")
        return self


class AblationParameters(Parameters):
    """``ablate_<variant>``: what each source is worth."""

    permutations: PositiveInt = 5
    """How often each source, and each of its columns, is permuted between products."""
    seeds: PositiveInt = 1
    """Models per fold, of the whole variant and of each that lacks a source."""
    retrain: bool = True
    """Whether the variant is also trained without each source; that costs a cross-validation for each."""
