"""What an output was made from: parameters, raw files and models of the nodes that led to it, by their names in the catalog.

A node adds its own to those of its inputs, so that an output knows the whole way to it, whichever runs it was made in. Of a
name there may be several values: the split was made with one seed, and the model was trained with another.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from price_fusion.storage.digests import digest_of

if TYPE_CHECKING:
    from price_fusion.datasets.recorded import RecordedOutput

MODEL = "model:"
"""What the names of models begin with, whose digests are recorded: figures are of one model and of no other of its name."""
PARAMETERS = "params:"
"""What names of parameters begin with in Kedro."""
SOURCES = f"{PARAMETERS}sources."
"""What names of the parameters of sources begin with: what is made from the table of a source is made from these."""
ROWS_IN_MEMORY = f"{PARAMETERS}compute.rows_in_memory"
"""How many products are brought into memory from partitions. Runs in memory have all, and no such parameter."""
FILES, SETTINGS = "files", "read with"
"""What is known of a raw dataset: digests or versions of its files by name, and the arguments of its catalog entry."""
WITHOUT_EFFECT = ("filepath", "metadata", "sha256", "memory_gb", "seconds", "in_pieces")
"""Of these arguments, those that do not change what is read: a project may move. Earlier releases recorded some of them."""

Facts = Mapping[str, tuple[Any, ...]]
"""Values that JSON can hold, by the name of a parameter (``params:seed``), of a raw dataset (``train_products``) or of a model
(``model:moe.checkpoint``)."""


@dataclass(frozen=True)
class Origins:
    """What the node that makes an output reads.

    Attributes:
        own: parameters and raw files.
        inputs: saved outputs of other nodes by their names, whose own records count, too.
    """

    own: Facts = field(default_factory=dict)
    inputs: Mapping[str, RecordedOutput] = field(default_factory=dict)

    def facts(self) -> Facts:
        """What an output is made from that is saved now."""
        return merged(self.own, *(_facts_of(name, one) for name, one in self.inputs.items()))

    def files(self) -> list[Path]:
        """The files whose digests are recorded with it."""
        return [file for one in self.inputs.values() if (file := one.origin_file) is not None]


def models(facts: Facts) -> Facts:
    """The digests of the models that an output is of, by their names in the catalog."""
    return {name.removeprefix(MODEL): values for name, values in facts.items() if name.startswith(MODEL)}


def merged(*several: Facts) -> Facts:
    """All names with all their values, each value once."""
    found: dict[str, list[Any]] = {}
    for facts in several:
        for name, values in facts.items():
            known = found.setdefault(name, [])
            known += [value for value in values if value not in known]
    return {name: tuple(values) for name, values in found.items()}


def as_text(facts: Facts) -> str:
    """JSON in one line."""
    return json.dumps({name: list(facts[name]) for name in sorted(facts)}, separators=(",", ":"))


def from_text(text: str) -> Facts | None:
    """The facts of a text as ``as_text`` writes it; None if it is no such text."""
    try:
        found = json.loads(text)
    except ValueError:
        return None
    if not isinstance(found, dict) or not all(isinstance(values, list) for values in found.values()):
        return None
    return {name: tuple(values) for name, values in found.items()}


def differences(recorded: Facts, current: Facts) -> list[str]:
    """What an output was made from that is another now, in words; names that its record does not know are left out."""
    return [
        text
        for name in current
        for value in current[name]
        for was in recorded.get(name, ())
        for text in _differences(name, was, value)
    ]


def newer(recorded: Facts, inputs: Facts) -> list[str]:
    """What the inputs of an output were made from that it was not, in words: they were made again since.

    Models are left out: the files of outputs on the way from them have digests of their own.
    """
    return [
        text
        for name in inputs.keys() & recorded.keys()
        if not name.startswith(MODEL)
        for value in inputs[name]
        if value not in recorded[name]
        for text in _differences(name, recorded[name][-1], value)
    ]


def other_sources(recorded: Facts, current: Facts, *, is_whole: bool) -> list[str]:
    """Sources that an output would be made from now and was not and, if ``current`` is whole, the reverse, in words."""
    before, now = ({name for name in facts if name.startswith(SOURCES)} for facts in (recorded, current))
    if not before:  # made from none, or by an earlier release
        return []
    added = [f"source {name.removeprefix(SOURCES)} is used now" for name in sorted(now - before)]
    gone = (
        [f"source {name.removeprefix(SOURCES)} is no longer used" for name in sorted(before - now)] if is_whole else []
    )
    return added + gone


def raw_files(facts: Facts) -> Facts:
    """Those of raw datasets alone."""
    return {name: values for name, values in facts.items() if not _is_parameter(name)}


def other_limit(recorded: Facts, current: Facts, *, is_whole: bool) -> list[str]:
    """That only a sample of the products would be in memory now or, if ``current`` is whole, the reverse, in words.

    Args:
        recorded: as of ``without_limits``.
        current: likewise.
        is_whole: whether what is not in ``current`` is not used.
    """
    before, now = (facts.get(ROWS_IN_MEMORY, (None,))[-1] for facts in (recorded, current))
    is_other = (before is None) != (now is None) and (is_whole or now is not None)
    return list(_differences(ROWS_IN_MEMORY, before, now)) if is_other else []


def without_limits(facts: Facts, products: int | None) -> Facts:
    """The same without limits of products in memory that leave none of them out, as in a run without partitions.

    Args:
        facts: of an output.
        products: how many there are; None: not known, every limit counts.
    """
    limits = tuple(limit for limit in facts.get(ROWS_IN_MEMORY, ()) if products is None or limit < products)
    others = {name: values for name, values in facts.items() if name != ROWS_IN_MEMORY}
    return others | ({ROWS_IN_MEMORY: limits} if limits else {})


def not_known(recorded: Facts, current: Facts) -> list[str]:
    """Names that an output would be made from now and that records do not know; of limits, ``other_limit`` says all."""
    return [name for name in current if name not in recorded and name != ROWS_IN_MEMORY]


def _facts_of(name: str, made: RecordedOutput) -> Facts:
    """What an input adds to what is made from it: a model stands for the models that it was made from."""
    facts, file = made.made_from() or {}, made.origin_file
    if not made.is_model or file is None or not file.is_file():
        return facts
    others = {name: values for name, values in facts.items() if not name.startswith(MODEL)}
    return others | {f"{MODEL}{name}": (digest_of(file),)}


def _is_parameter(name: str) -> bool:
    return name.startswith(PARAMETERS) or name == "parameters"


def _differences(name: str, was: Any, value: Any) -> Iterator[str]:
    for path in dict.fromkeys([*(old := _flat(was)), *(new := _flat(value))]):
        before, now = old.get(path), new.get(path)
        if before == now or (path[:1] == (SETTINGS,) and _is_of_another_release(path, old)):
            continue
        place = ".".join([name.removeprefix(PARAMETERS), *path])
        yield (
            f"{place} is {_shown(now)}, was {_shown(before)}"
            if _is_parameter(name)
            else f"{name} ({path[-1]}) has changed"
        )


def _is_of_another_release(setting: tuple[str, ...], recorded: Mapping[tuple[str, ...], Any]) -> bool:
    """Whether only a later release has a setting, or only an earlier one recorded it; of no settings at all it is True."""
    return setting not in recorded or len(setting) == 1 or setting[1] in WITHOUT_EFFECT


def _flat(value: Any, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if not isinstance(value, Mapping) or not value:
        return {path: value}
    return {place: leaf for name, part in value.items() for place, leaf in _flat(part, (*path, str(name))).items()}


def _shown(value: Any) -> str:
    return "not there" if value is None else json.dumps(value)
