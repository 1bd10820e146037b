"""Random configurations, drawn from what ``src/price_fusion/parameters`` declares: shared by ``fuzzing.py`` and the tests.

Fields, their types and their ranges are read from the models, so that a new field is drawn as soon as it is there. By hand
are only names, what several fields have to agree on, and sizes that keep a run short.
"""

from __future__ import annotations

import copy
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from price_fusion.parameters import (
    ESTIMATOR_KINDS,
    AttentionFusion,
    BranchParameters,
    CheckParameters,
    ColumnSourceParameters,
    ComparisonParameters,
    ConcatFusion,
    EnsemblePreset,
    HierarchicalFusion,
    IngestionParameters,
    MixtureHead,
    MlpHead,
    ModelParameters,
    ProjectParameters,
    SourceParameters,
    SplittingParameters,
    TrainParameters,
    VariantParameters,
)

Raw = dict[str, Any]

SIZES = {
    "hidden": (1, 32),
    "epochs": (1, 2),
    "batch_size": (1, 100),
    "experts": (2, 4),
    "gate_hidden": (0, 16),
    "heads": (1, 4),
    "bins": (2, 40),
    "frequencies": (1, 12),
    "rows_per_shard": (1, 40),
    "price_quantiles": (1, 30),
    "folds": (2, 6),
    "seeds": (1, 2),
    "refits": (0, 2),
    "resamples": (100, 150),
    "boosting_rounds": (1, 5),
    "boosting_threads": (1, 1),
    "tabicl_columns": (1, 100),
    "permutations": (1, 2),
    "checkpoint_every": (1, 3),
    "then_from_epoch": (2, 4),
    "plateau_patience": (0, 2),
    "early_stopping_patience": (1, 3),
    "trials": (1, 2),
    "startup_trials": (1, 2),
    "labelled": (100, 3_000),
    "unlabelled": (10, 1_000),
    "repeated_least": (2, 20),
    "seed": (0, 2**31 - 1),
}
"""Fields of whole numbers, and between which ones they are drawn."""
ALWAYS = ("epochs", "hidden", "boosting_rounds", "boosting_threads", "resamples", "batch_size", "permutations", "folds")
"""Fields whose defaults are too large for a short run."""
USUAL = (1e-4, 3.0)
"""Between which fields of positive numbers without an upper bound mostly are, ..."""
SMALLER = {"learning_rate": 0.05, "min_learning_rate": 0.01, "weight_decay": 0.3}
"""... but for these, which mostly are below this."""
SOURCES = ("image_a", "image_b", "words", "price", "sample_id", "row_words", "fold")
"""Names of sources, awkward ones among them."""
VARIANTS = ("small", "other", "train_small", "params", "train", "v")
GROUPS = ("image", "text", "", "Ärmel & Co", "a.b/c")
COLUMNS = ("mass", "brand", "colour", "pack size")
"""Columns of the product table beside the usual ones; the first and the last hold numbers."""
NUMERIC = ("mass", "pack size")
EXTRAS = ("cross_validate", "ablate", "ensemble", "compare", "check_leaks", "leak_effect")
"""Pipelines beside that of the first variant."""


@dataclass(frozen=True)
class Bounds:
    """Of a number, as declared; None: none."""

    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None


# --- valid ----------------------------------------------------------------------------------------------------------


def projects() -> st.SearchStrategy[Raw]:
    """Parameters of whole projects, as YAML has them. Nearly all are valid."""
    return st.lists(st.sampled_from(SOURCES), min_size=1, max_size=4, unique=True).flatmap(_project)


def _project(names: list[str]) -> st.SearchStrategy[Raw]:
    variants = st.lists(_rarely(VARIANTS, "train_small"), min_size=1, max_size=2, unique=True)
    return st.fixed_dictionaries({name: sources() for name in names}).flatmap(
        lambda declared: variants.flatmap(lambda listed: _of(declared, listed))
    )


def _of(declared: Raw, listed: list[str]) -> st.SearchStrategy[Raw]:
    by_hand = {
        "seed": _whole("seed", Bounds(0)),
        "variants": st.just(listed),
        "sources": st.just(declared),
        "splitting": section(SplittingParameters, proportions=proportions()),
        "ingestion": section(
            IngestionParameters,
            policy=st.sampled_from([*["keep"] * 5, "intersect", "intersect", "strict"]),
            unknown_products=st.sampled_from(["drop", "drop", "error"]),
            on_suspicion=_mostly("warn", st.sampled_from(["warn", "warn", "error"])),
        ),
        "ensemble": _ensemble(listed),
        "report": st.just({"images": None}),
        "compute": st.just({"executor": "local"}),  # runs in partitions have other pipelines, and tests of their own
        "model_card": st.just({"owner": "a *shop*", "notes": None}),
        "final_fit": st.booleans(),
        "comparison": section(ComparisonParameters, tabicl_checkpoint=st.just("")),
        "currency": st.sampled_from(["USD", "EUR", "Fr."]),
        "price_groups": price_groups(),
        **{name: variant(list(declared)) for name in listed},
    }
    rest = {
        name: section(field.annotation)
        for name, field in ProjectParameters.model_fields.items()
        if name not in (*by_hand, "tuning") and isinstance(field.annotation, type)
    }
    return st.fixed_dictionaries(by_hand | rest)


def price_groups() -> st.SearchStrategy[Raw]:
    """Bins and ranges of prices, some of them as the train prices have them."""
    edges = st.lists(st.sampled_from([0.5, 1, 3, 10, 25.5, 100, 1e4]), min_size=1, max_size=4, unique=True).map(sorted)
    ranges = edges.map(lambda lows: {f"from {low}": low for low in [0, *lows]})
    return st.fixed_dictionaries({}, optional={"bins": edges, "ranges": st.one_of(st.none(), ranges)})


def sources() -> st.SearchStrategy[Raw]:
    """Declarations of sources of either kind."""
    groups = {"group": st.sampled_from(GROUPS)}
    widths = st.integers(1, 32).flatmap(
        lambda width: section(
            SourceParameters,
            width=st.just(width),
            structural_columns=st.integers(0, min(width - 1, 3)),
            tuned_on_ids=_mostly(False, st.just(True)),
            **groups,
        )
    )
    columns = st.permutations(COLUMNS).flatmap(
        lambda order: st.tuples(st.integers(0, 2), st.sampled_from([None, "quantity"])).flatmap(
            lambda drawn: _column_source(order[: drawn[0]], drawn[1], groups)
        )
    )
    return st.one_of(widths, widths, columns)


def _column_source(
    names: list[str], parse: str | None, groups: Mapping[str, st.SearchStrategy[str]]
) -> st.SearchStrategy[Raw]:
    if not names and parse is None:
        names = ["mass"]
    return section(
        ColumnSourceParameters,
        kind=st.just("columns"),
        numeric=st.just([name for name in names if name in NUMERIC]),
        categorical=st.just([name for name in names if name not in NUMERIC]),
        parse=st.just(parse),
        leave_out=("vocabulary", "parsed_columns", "text_columns", "text_template"),
        **groups,
    )


def variant(declared: list[str]) -> st.SearchStrategy[Raw]:
    """A variant of some of these sources."""
    chosen = st.lists(st.sampled_from(declared), min_size=1, unique=True)
    return chosen.flatmap(
        lambda names: st.fixed_dictionaries(
            {"sources": st.just(names), "model": model(len(names)), "train": training()}
        )
    )


def model(count: int) -> st.SearchStrategy[Raw]:
    """A model of so many sources."""
    return st.tuples(st.integers(1, 4), st.integers(1, 8)).flatmap(
        lambda drawn: st.fixed_dictionaries(
            {
                "branch": section(BranchParameters, width=st.just(drawn[0] * drawn[1])),
                "fusion": _fusion(drawn[0], count),
                "head": st.one_of(_kind(MlpHead), _kind(MixtureHead)),
            }
        )
    )


def _fusion(heads: int, count: int) -> st.SearchStrategy[Raw]:
    if count < 2:
        return _kind(ConcatFusion)
    return st.one_of(
        _kind(ConcatFusion),
        _kind(AttentionFusion, heads=st.just(heads)),
        _kind(HierarchicalFusion, heads=st.just(heads)),
    )


def _kind(of: type[BaseModel], **by_hand: st.SearchStrategy[Any]) -> st.SearchStrategy[Raw]:
    return section(of, kind=st.just(of.model_fields["kind"].default), **by_hand)


def training() -> st.SearchStrategy[Raw]:
    """How a variant is trained."""
    plain = section(
        TrainParameters,
        # Without one, "cuda" is refused; where there is one, runs would be slow to start.
        device=_mostly("cpu", st.sampled_from([*["auto"] * 5, "cuda"])),
        leave_out=("then_loss", "then_from_epoch"),
    )
    losses = get_args(TrainParameters.model_fields["loss"].annotation)
    second = st.fixed_dictionaries(
        {"then_loss": st.sampled_from(losses), "then_from_epoch": _whole("then_from_epoch", Bounds(2))}
    )
    return st.one_of(plain, plain, st.tuples(plain, second).map(lambda both: both[0] | both[1]))


def proportions() -> st.SearchStrategy[str]:
    """Shares of train, validation and holdout rows."""
    usual = st.sampled_from(["70/10/20", "80/20/0", "1/1/1", "0.5/0.3/0.2", "5/3/2", "4/3/3", "97/2/1"])
    parts = st.tuples(st.integers(20, 90), st.integers(10, 40), st.integers(0, 40))
    return st.one_of(usual, usual, usual, usual, parts.map(lambda drawn: "/".join(map(str, drawn))))


def _ensemble(listed: list[str]) -> st.SearchStrategy[Raw]:
    members = st.lists(st.sampled_from([*listed, *ESTIMATOR_KINDS[:2]]), min_size=1, max_size=3, unique=True)
    return st.fixed_dictionaries(
        {
            "preset": st.just("some"),
            "presets": st.fixed_dictionaries({"some": section(EnsemblePreset, members=members)}),
            "weights": st.sampled_from(["greedy", "convex"]),
            "failed_members": st.sampled_from(["error", "leave_out"]),
        }
    )


def section(
    of: type[BaseModel], *, leave_out: tuple[str, ...] = (), **by_hand: st.SearchStrategy[Any]
) -> st.SearchStrategy[Raw]:
    """A section with any of its fields, each within what is declared; those given by hand are always there."""
    needed, optional = dict(by_hand), {}
    for name, field in of.model_fields.items():
        if name in by_hand or name in leave_out:
            continue
        place = needed if name in ALWAYS or field.is_required() else optional
        place[name] = _values(name, field.annotation, _bounds(field.metadata))
    return st.fixed_dictionaries(needed, optional=optional)


def _values(name: str, annotation: Any, bounds: Bounds) -> st.SearchStrategy[Any]:
    """What a field may be."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        metadata = [one for part in arguments[1:] for one in (part.metadata if isinstance(part, FieldInfo) else [part])]
        return _values(name, arguments[0], _bounds(metadata))
    if origin is Literal:
        return st.sampled_from(arguments)
    if origin in (Union, types.UnionType):
        kinds = [st.none() if one is type(None) else _values(name, one, bounds) for one in arguments]
        return st.one_of(*kinds)
    if origin is tuple:
        return _sequence(name, arguments)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return section(annotation)
    plain = {
        bool: st.booleans,
        int: lambda: _whole(name, bounds),
        float: lambda: _number(bounds, SMALLER.get(name, USUAL[1])),
        str: lambda: st.sampled_from(["a", "two words"]),
    }
    return plain[annotation]()


def _sequence(name: str, arguments: tuple[Any, ...]) -> st.SearchStrategy[list[Any]]:
    if arguments[-1] is not Ellipsis:
        return st.tuples(*(_values(name, one, Bounds()) for one in arguments)).map(list)
    items = _values(name, arguments[0], Bounds())
    return st.lists(items, min_size=1, max_size=3, unique=True)


def _whole(name: str, bounds: Bounds) -> st.SearchStrategy[int]:
    least = int(bounds.least if bounds.least is not None else (bounds.above or 0) + 1)
    low, high = SIZES.get(name, (least, least + 3))
    return st.integers(max(low, least), high)


def _number(bounds: Bounds, width: float) -> st.SearchStrategy[float]:
    """Mostly a usual number, now and then any that is allowed."""
    least = bounds.least if bounds.least is not None else bounds.above
    most = bounds.most if bounds.most is not None else bounds.below
    anything = st.floats(
        least,
        most,
        exclude_min=bounds.least is None and bounds.above is not None,
        exclude_max=bounds.most is None and bounds.below is not None,
        allow_nan=False,
        allow_infinity=False,
    )
    low = USUAL[0] if least is None else least + USUAL[0]
    usual = st.floats(low, low + width if most is None else most - USUAL[0] * (most - low))
    return st.one_of(usual, usual, usual, usual, anything)


def _rarely(values: tuple[str, ...], rare: str) -> st.SearchStrategy[str]:
    return st.sampled_from([*(value for value in values if value != rare)] * 6 + [rare])


def _mostly(usual: Any, others: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(*[st.just(usual)] * 7, others)


def _bounds(metadata: list[Any]) -> Bounds:
    found = {name: getattr(one, name) for one in metadata for name in ("ge", "gt", "le", "lt") if hasattr(one, name)}
    return Bounds(found.get("ge"), found.get("gt"), found.get("le"), found.get("lt"))


# --- invalid --------------------------------------------------------------------------------------------------------


MISTAKES = ("unknown key", "misspelt name", "wrong type", "out of range")


@dataclass(frozen=True)
class Spoilt:
    """A configuration with one mistake."""

    raw: Raw
    kind: str
    path: str
    """Of the field that a message must name."""


@dataclass(frozen=True)
class _Place:
    path: tuple[str, ...]
    field: FieldInfo | None
    """None: a section."""


def spoilt_projects(*among: str) -> st.SearchStrategy[Spoilt]:
    """Configurations with one mistake each, of these kinds or of any."""
    kinds = st.sampled_from(among or MISTAKES)
    return st.tuples(projects(), kinds, st.randoms(use_true_random=False)).map(lambda drawn: spoil(*drawn))


def spoil(raw: Raw, kind: str, chance: Any) -> Spoilt:
    """A copy with one mistake, at a random place.

    Args:
        raw: a valid configuration.
        kind: one of ``MISTAKES``.
        chance: as ``random.Random``.
    """
    places = list(_places(raw))
    if kind == "unknown key":
        place = chance.choice([one for one in places if one.field is None])
        return _with(raw, kind, (*place.path, "no_such_field"), 1)
    if kind == "misspelt name":
        place = chance.choice([one for one in places if one.path])
        return _misspelt(raw, place.path, chance)
    ranges = {one.path: _outside(one.field) for one in places if one.field is not None}
    if kind == "out of range":
        path = chance.choice([path for path, values in ranges.items() if values])
        return _with(raw, kind, path, chance.choice(ranges[path]))
    return _with(raw, kind, chance.choice(list(ranges)), {"a": {"b": [None]}})


def _places(raw: Raw) -> Iterator[_Place]:
    """Sections, and fields that are of no section."""
    yield _Place((), None)
    for name, field in ProjectParameters.model_fields.items():
        if name in ("seed", "variants", "final_fit", "currency"):
            yield _Place((name,), field)
        elif name in raw and isinstance(field.annotation, type) and name != "ensemble":
            yield from _places_in(field.annotation, raw[name], (name,))
    for name in raw["variants"]:
        yield from _places_in(VariantParameters, raw[name], (name,))
    used = {source for name in raw["variants"] for source in raw[name]["sources"]}
    for name in used:
        source = raw["sources"][name]
        kind = ColumnSourceParameters if source.get("kind") == "columns" else SourceParameters
        yield from _places_in(kind, source, ("sources", name))
    yield from _places_in(EnsemblePreset, raw["ensemble"]["presets"]["some"], ("ensemble", "presets", "some"))


def _places_in(of: type[BaseModel], raw: Raw, path: tuple[str, ...]) -> Iterator[_Place]:
    sections = {ModelParameters: {"branch": BranchParameters}, IngestionParameters: {"checks": CheckParameters}}
    inner = {"model": ModelParameters, "train": TrainParameters} if of is VariantParameters else sections.get(of, {})
    inner = inner | {name: _of_kind(raw[name]) for name in ("fusion", "head") if of is ModelParameters and name in raw}
    yield _Place(path, None)
    for name, value in raw.items():
        if name in inner:
            yield from _places_in(inner[name], value, (*path, name))
        else:
            yield _Place((*path, name), of.model_fields[name])


def _of_kind(raw: Raw) -> type[BaseModel]:
    kinds = (ConcatFusion, AttentionFusion, HierarchicalFusion, MlpHead, MixtureHead)
    return next(kind for kind in kinds if kind.model_fields["kind"].default == raw["kind"])


def _outside(field: FieldInfo) -> list[Any]:
    """Numbers that are just out of a field's range, and values that are not numbers; none for fields of other types."""
    if field.annotation not in (int, float):
        return []
    bounds = _bounds(field.metadata)
    step = 1 if field.annotation is int else 1e-9
    found: list[Any] = [value for value in (bounds.above, bounds.below) if value is not None]
    found += [bounds.least - step] if bounds.least is not None else []
    found += [bounds.most + max(step, abs(bounds.most) * 1e-9)] if bounds.most is not None else []
    return [*found, float("nan"), float("inf")]


def _misspelt(raw: Raw, path: tuple[str, ...], chance: Any) -> Spoilt:
    name = path[-1]
    at = chance.randrange(len(name))
    wrong = name[:at] + chance.choice("xqzj") + name[at:]
    changed = copy.deepcopy(raw)
    section = _section(changed, path[:-1])
    section[wrong] = section.pop(name)
    # Sources and variants are free to be called anything: then the name that is used is the one that is wrong.
    free = (len(path) == 1 and name in raw["variants"]) or (path[:1] == ("sources",) and len(path) == 2)
    free = free or path == ("ensemble", "presets", "some")
    return Spoilt(changed, "misspelt name", name if free else ".".join((*path[:-1], wrong)))


def _with(raw: Raw, kind: str, path: tuple[str, ...], value: Any) -> Spoilt:
    changed = copy.deepcopy(raw)
    _section(changed, path[:-1])[path[-1]] = value
    return Spoilt(changed, kind, ".".join(path))


def _section(raw: Raw, path: tuple[str, ...]) -> Raw:
    for name in path:
        raw = raw[name]
    return raw
