"""The whole of ``parameters.yml``, and how it is checked."""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from price_fusion.errors import ParameterError
from price_fusion.parameters.base import NAMES_OF_MODULES, Name, Parameters, fields_of, no_repeats
from price_fusion.parameters.compute import ComputeParameters
from price_fusion.parameters.data import (
    ColumnSourceParameters,
    FabricationParameters,
    IngestionParameters,
    Source,
    SplittingParameters,
)
from price_fusion.parameters.evaluation import (
    ESTIMATOR_KINDS,
    AblationParameters,
    ComparisonParameters,
    CrossValidationParameters,
    EnsembleParameters,
    InferenceParameters,
    IntervalParameters,
    PriceGroupParameters,
)
from price_fusion.parameters.former_names import problems_of_former_names
from price_fusion.parameters.leaks import LeakParameters
from price_fusion.parameters.models import ModelParameters
from price_fusion.parameters.reports import ModelCardParameters, ReportParameters
from price_fusion.parameters.tracking import TrackingParameters
from price_fusion.parameters.training import TrainParameters
from price_fusion.parameters.tuning import TuningParameters, refusals


class VariantParameters(Parameters):
    """A named model configuration."""

    sources: Annotated[tuple[str, ...], Field(min_length=1), no_repeats("a source")]
    """Names of the sources that it fuses, as declared under ``sources``."""
    model: ModelParameters
    train: TrainParameters

    @model_validator(mode="after")
    def _something_to_attend_to(self) -> VariantParameters:
        kind = self.model.fusion.kind
        if kind != "concat" and len(self.sources) < 2:
            raise ValueError(f"fusion {kind!r} needs at least two sources: use 'concat', or name another source")
        return self


CURRENCY = r"^\S{1,8}$"
"""What a currency may be."""


class ProjectParameters(BaseModel):
    """All of ``parameters.yml``. Each top-level key that is not a field below is a variant of that name."""

    model_config = ConfigDict(extra="allow", frozen=True)
    __pydantic_extra__: dict[Name, VariantParameters]

    seed: Annotated[int, Field(ge=0, lt=2**31)]
    variants: Annotated[tuple[Name, ...], Field(min_length=1)]
    """Variants that get pipelines, in the order in which ``compare`` lists them."""
    sources: dict[Name, Source]
    currency: Annotated[str, Field(pattern=CURRENCY)] = "USD"
    """Of all prices: a code such as EUR, or a sign. Nothing is converted."""
    ingestion: IngestionParameters
    splitting: SplittingParameters
    fabrication: FabricationParameters
    inference: InferenceParameters
    final_fit: bool = True
    """Whether new products are predicted by a final fit: the training of the evaluated model, repeated on all labelled rows."""
    comparison: ComparisonParameters
    intervals: IntervalParameters
    price_groups: PriceGroupParameters = PriceGroupParameters()
    cross_validation: CrossValidationParameters
    ensemble: EnsembleParameters
    ablation: AblationParameters = AblationParameters()
    leaks: LeakParameters = LeakParameters()
    report: ReportParameters = ReportParameters()
    model_card: ModelCardParameters = ModelCardParameters()
    tracking: TrackingParameters = TrackingParameters()
    compute: ComputeParameters = ComputeParameters()
    tuning: TuningParameters = TuningParameters()

    def variant(self, name: str) -> VariantParameters:
        """The parameters of a variant that ``variants`` names."""
        return self.__pydantic_extra__[name]

    @property
    def used_sources(self) -> tuple[str, ...]:
        """Sources that some variant in ``variants`` fuses, in the order of their declaration."""
        used = {source for name in self.variants for source in self.variant(name).sources}
        return tuple(source for source in self.sources if source in used)

    @property
    def estimators_alone(self) -> tuple[str, ...]:
        """Estimators that can predict by themselves: all whose weights are at hand."""
        return tuple(kind for kind in ESTIMATOR_KINDS if kind != "tabicl" or self.comparison.tabicl_checkpoint)

    @property
    def has_ensemble(self) -> bool:
        """Whether ``variants`` has all variants of the chosen preset: who works with a few has no ensemble of all."""
        return set(self.ensemble_variants) <= set(self.variants)

    @property
    def ensemble_variants(self) -> tuple[str, ...]:
        """Members of the ensemble that are variants."""
        return tuple(name for name in self.ensemble.chosen.members if name not in ESTIMATOR_KINDS)

    @property
    def ensemble_sources(self) -> tuple[str, ...]:
        """Sources of the ensemble's variants, which its estimators see, too; without variants, all sources in use."""
        read = {source for name in self.ensemble_variants for source in self.variant(name).sources}
        return tuple(source for source in self.used_sources if source in read) or self.used_sources


def parse_project_parameters(raw: Mapping[str, Any], own_pipelines: Collection[str] = ()) -> ProjectParameters:
    """Check all parameters at once.

    Args:
        raw: what the configuration loader merged from ``conf/`` and ``--params``. Keys with a leading underscore are left
            out: they hold YAML anchors.
        own_pipelines: names of pipelines that a user added. The section of each is left out, too: its nodes check it.

    Raises:
        ParameterError: listing every field that is wrong, with the nearest known name for a misspelt one.
    """
    raw = {str(key): value for key, value in raw.items() if not str(key).startswith("_")}  # anchors for other sections
    known = list(ProjectParameters.model_fields)
    variants = raw.get("variants")
    declared = [str(name) for name in variants] if isinstance(variants, list | tuple) else []
    own = set(own_pipelines) - {*known, *declared}
    raw = {key: value for key, value in raw.items() if key not in own}
    if former := problems_of_former_names(raw):
        raise ParameterError("\n".join(former))
    problems = [
        f"{key}: neither a section nor a variant{did_you_mean(key, [*known, *declared, *sorted(own)])}"
        for key in raw
        if key not in known and key not in declared and not _looks_like_variant(raw[key])
    ]
    if problems and own:
        problems[-1] += (
            f"\n    Parameters of a pipeline of your own are in a section of its name ({', '.join(sorted(own))}); its nodes "
            "read params:NAME.FIELD (docs/extending.md)."
        )
    parsed: ProjectParameters | None = None
    if not problems:
        try:
            parsed = ProjectParameters.model_validate(raw)
        except ValidationError as error:
            problems = _describe(error, raw)
    if parsed is not None:
        problems = _inconsistencies(parsed)
    if parsed is None or problems:
        listing = "\n".join(f"  - {problem}" for problem in problems)
        raise ParameterError(
            f"{len(problems)} wrong parameter(s):\n{listing}\n"
            "Fix them in conf/<environment>/**/parameters.yml or in --params; "
            "src/price_fusion/parameters lists every field with its meaning."
        )
    return parsed


def _looks_like_variant(value: object) -> bool:
    return isinstance(value, Mapping) and "model" in value


def _inconsistencies(parameters: ProjectParameters) -> list[str]:
    defined = list(parameters.__pydantic_extra__)
    problems = [
        f"variants: {name!r} has no section of its own{did_you_mean(name, defined)}"
        for name in parameters.variants
        if name not in defined
    ]
    problems += [
        f"variants: {name!r} is listed twice" for name, count in Counter(parameters.variants).items() if count > 1
    ]
    problems += [
        f"{name}.sources: {source!r} is not declared under sources{did_you_mean(source, parameters.sources)}"
        for name in parameters.variants
        if name in defined
        for source in parameters.variant(name).sources
        if source not in parameters.sources
    ]
    problems += [
        f"{name}.model.monotone_in_amount: none of its sources has amounts; name one with parse: quantity, or leave it out"
        for name in parameters.variants
        if name in defined and parameters.variant(name).model.monotone_in_amount and not _has_amounts(parameters, name)
    ]
    members = [*parameters.variants, *ESTIMATOR_KINDS]
    problems += [
        f"ensemble.presets.{name}.members: {member!r} is neither in variants nor an estimator{did_you_mean(member, members)}"
        for name, preset in parameters.ensemble.presets.items()
        for member in preset.members
        if member not in members and member not in defined
    ]
    return problems + _name_problems(parameters, defined) + _space_problems(parameters)


def _name_problems(parameters: ProjectParameters, defined: Sequence[str]) -> list[str]:
    """Names of sources and variants that something else has: they name datasets, namespaces and parts of models."""
    taken = [name for name in defined if name in ("ensemble", "ensemble_final", *ESTIMATOR_KINDS)]
    problems = [f"{name}: is the name of something else; call the variant otherwise" for name in taken]
    used = [name for name in parameters.sources if any(name in _sources_of(parameters, one) for one in defined)]
    problems += [
        f"sources.{name}: is what torch calls a part of its modules; call the source otherwise"
        for name in used
        if name in NAMES_OF_MODULES
    ]
    problems += [
        f"sources.{name}: is also the name of a variant; call one of them otherwise"
        for name in used
        if name in parameters.variants
    ]
    return problems


def _has_amounts(parameters: ProjectParameters, variant: str) -> bool:
    declared = [parameters.sources.get(name) for name in parameters.variant(variant).sources]
    return any(isinstance(source, ColumnSourceParameters) and source.parse == "quantity" for source in declared)


def _sources_of(parameters: ProjectParameters, variant: str) -> tuple[str, ...]:
    return parameters.variant(variant).sources if variant in parameters.variants else ()


def _space_problems(parameters: ProjectParameters) -> list[str]:
    """What is wrong with ``tuning.space``. A field that only some variants have is tuned in those.

    What a variant has against a value beside those of other fields is for ``tune_<variant>`` to say: it need not keep a
    variant from being trained.
    """
    defined = [name for name in parameters.variants if name in parameters.__pydantic_extra__]
    fields = {name: fields_of(parameters.variant(name)) for name in defined}
    known = sorted({path for own in fields.values() for path in own})
    problems = []
    for path, dimension in parameters.tuning.dimensions.items():
        if path not in known:
            problems.append(f"tuning.space: {path!r} is no field of a variant{did_you_mean(path, known)}")
        problems += [
            f"tuning.space.{path}: {name} refuses it: {refusal}"
            for name in defined
            if path in fields[name]
            for refusal in refusals(parameters.variant(name), path, dimension, field_alone=True)
        ]
    return problems


_LIST, _MAPPING = "expected a list, such as [a, b]", "expected a mapping of names to values"
_EXPECTED = {
    "tuple_type": _LIST,
    "list_type": _LIST,
    "dict_type": _MAPPING,
    "model_type": _MAPPING,
    "model_attributes_type": _MAPPING,
}
"""What pydantic says in terms of Python's types, in those of YAML."""


def _describe(error: ValidationError, raw: Mapping[str, Any]) -> list[str]:
    """One line per wrong field: its path, what is wrong, and the value found."""
    lines = []
    wrong: dict[tuple[str, str], list[str]] = {}  # where a number or a word is allowed, each has something to say
    for problem in error.errors(include_url=False):
        path = _path(problem["loc"], raw, absent=problem["type"] == "missing")
        if problem["type"] == "extra_forbidden":
            name = str(problem["loc"][-1])
            lines.append(f"{path}: unknown parameter{did_you_mean(name, sorted(_all_fields() - {name}))}")
        elif problem["type"] == "missing":
            lines.append(f"{path}: missing")
        elif problem["type"] == "union_tag_invalid":
            kinds = problem["ctx"]["expected_tags"]
            lines.append(f"{path}.kind: expected one of {kinds} (found {problem['input']['kind']!r})")
        elif problem["type"] == "union_tag_not_found":
            lines.append(f"{path}.kind: missing, beside {', '.join(f'{path}.{name}' for name in problem['input'])}")
        else:
            message = _EXPECTED.get(problem["type"], problem["msg"].removeprefix("Value error, "))
            whole = problem["type"] == "value_error" and isinstance(problem["input"], Mapping)
            # What is wrong with a whole section names its values.
            found = "" if whole else f" (found {problem['input']!r})"
            wrong.setdefault((path, found), []).append(message)
    return lines + [f"{path}: {', or: '.join(said)}{found}" for (path, found), said in wrong.items()]


def _path(location: Sequence[int | str], raw: Mapping[str, Any], *, absent: bool) -> str:
    """Where a field stands in the YAML: without the kinds (``embeddings``, ``mixture``, ``int``) that pydantic adds.

    Args:
        location: as pydantic gives it.
        raw: what was checked.
        absent: whether the last part is a field that is missing.
    """
    parts: list[str] = []
    value: Any = raw
    for place, part in enumerate(location, start=1):
        is_absent = absent and place == len(location)
        if isinstance(value, Mapping) and part not in value and not is_absent:
            continue
        if isinstance(value, str | int | float):
            break
        parts.append(str(part))
        if isinstance(value, Mapping):
            value = value.get(part)
        else:
            value = value[part] if isinstance(value, list | tuple) and isinstance(part, int) else None
    return ".".join(parts)


def _all_fields() -> set[str]:
    """Names of all fields of all models: candidates for what a misspelt field was meant to be."""
    return {field for model in Parameters.__subclasses__() for field in model.model_fields}


def did_you_mean(name: str, candidates: Iterable[str]) -> str:
    """The end of a message on a name that there is not: the nearest one, or all."""
    known = list(candidates)
    matches = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {matches[0]!r}?" if matches else f"; known: {', '.join(known)}"
