"""What ``tune_<variant>`` tries."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, Field, JsonValue, PositiveInt, ValidationError, model_validator

from price_fusion.parameters.base import Parameters, Positive, fields_of

Section = TypeVar("Section", bound=BaseModel)


class Dimension(Parameters):
    """What one field may be: a number from ``low`` to ``high``, or one of ``choices``."""

    low: int | float | None = None
    high: int | float | None = None
    log: bool = False
    """Whether each factor is as likely as each other one: for learning rates."""
    step: Positive | None = None
    """Distance between the numbers that are tried; None: any number, or any whole number."""
    choices: Annotated[tuple[JsonValue, ...], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Dimension:
        if self.choices is None:
            self._check_range()
        elif (self.low, self.high, self.step, self.log) != (None, None, None, False):
            raise ValueError("has choices and a range: set the others to null")
        return self

    def _check_range(self) -> None:
        if self.low is None or self.high is None or self.low >= self.high:
            raise ValueError(f"low {self.low} and high {self.high}: give low < high, or choices")
        if self.log and self.low <= 0:
            raise ValueError(f"low {self.low} on a log scale: it must be above 0")
        if self.log and self.step is not None:
            raise ValueError("log and step exclude each other")
        if self.step is not None and not _is_whole((self.high - self.low) / self.step):
            raise ValueError(f"step {self.step} does not lead from low {self.low} to high {self.high}")

    @property
    def extremes(self) -> tuple[JsonValue, ...]:
        """Values that are checked before anything is tried: all choices, or the ends of the range and a step."""
        if self.choices is not None:
            return self.choices
        ends = (self.low, self.high)
        return ends if self.step is None or self.low is None else (*ends, self.low + self.step)

    def contains(self, value: object) -> bool:
        """Whether a value can be tried."""
        if self.choices is not None:
            return value in self.choices
        if self.low is None or self.high is None or isinstance(value, bool) or not isinstance(value, int | float):
            return False
        return self.low <= value <= self.high and (self.step is None or _is_whole((value - self.low) / self.step))


class TuningParameters(Parameters):
    """``tune_<variant>``: hyper-parameters found by trying some."""

    trials: PositiveInt = 40
    """Finished trials of a study, pruned ones and the configured parameters' included."""
    startup_trials: PositiveInt = 10
    """Trials drawn at random, before the sampler learns from them and hopeless ones are ended early."""
    judged_on: Literal["validation", "folds"] = "validation"
    """``validation``: fit the train rows, judge the validation rows; ``folds``: cross-validate, which costs a training
    per fold and is less of a gamble."""
    folds: PositiveInt | None = None
    """How many of the folds to judge on; None: all."""
    hours: Positive | None = None
    """No trial but a run's first starts later than this after the run did; None: no limit."""
    space: dict[str, Dimension | None] = Field(default_factory=dict)
    """What to tune: fields of a variant by their path, such as ``train.learning_rate``. null leaves one out."""

    @property
    def dimensions(self) -> dict[str, Dimension]:
        """The space without what is left out."""
        return {path: dimension for path, dimension in self.space.items() if dimension is not None}


def nested(values: Mapping[str, JsonValue]) -> dict[str, Any]:
    """Values by path as sections of YAML.

    >>> nested({"train.epochs": 3, "train.loss": "mae"})
    {'train': {'epochs': 3, 'loss': 'mae'}}
    """
    sections: dict[str, Any] = {}
    for path, value in values.items():
        *parents, field = path.split(".")
        place = sections
        for parent in parents:
            place = place.setdefault(parent, {})
        place[field] = value
    return sections


def with_fields(section: Section, values: Mapping[str, JsonValue]) -> Section:
    """A copy with other values of some fields, by path.

    Raises:
        ValidationError: if it refuses a value.
    """
    return type(section).model_validate(nested(fields_of(section) | dict(values)))


def refusals(section: BaseModel, path: str, dimension: Dimension, *, field_alone: bool) -> Iterator[str]:
    """What a section has against values of one of its fields, each with the value.

    Args:
        section: with all other fields.
        path: of the field.
        dimension: of the field.
        field_alone: leave out what it has against the value beside those of other fields.
    """
    for value in dimension.extremes:
        try:
            with_fields(section, {path: value})
        except ValidationError as error:
            problems = [
                problem["msg"]
                for problem in error.errors(include_url=False)
                if not field_alone or path.split(".")[-1] in problem["loc"]
            ]
            if problems:
                yield f"{problems[0]} (found {value!r})"


def _is_whole(number: float) -> bool:
    return abs(number - round(number)) < 1e-9
