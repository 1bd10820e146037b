"""What all parameter models share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Fraction = Annotated[float, Field(ge=0.0, lt=1.0)]
Positive = Annotated[float, Field(gt=0.0)]
Gigabytes = Annotated[float, Field(gt=0.0, le=1e9)]
"""Memory in 1e9 bytes; more than any machine has would not fit a whole number of bytes."""

Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$", max_length=64)]
"""Names of sources and variants name files, columns and namespaces, too."""

_PARTS_OF_MODULES = """
add_module apply bfloat16 buffers call_super_init children clear compile copy cpu cuda double
dump_patches eval extra_repr float forward fromkeys get get_buffer get_extra_state get_parameter
get_submodule half ipu items keys load_state_dict modules mtia named_buffers named_children
named_modules named_parameters parameters pop popitem register_backward_hook register_buffer
register_forward_hook register_forward_pre_hook register_full_backward_hook
register_full_backward_pre_hook register_load_state_dict_post_hook register_load_state_dict_pre_hook
register_module register_parameter register_state_dict_post_hook register_state_dict_pre_hook
requires_grad_ set_extra_state set_submodule setdefault share_memory state_dict to to_empty train
training type update values xpu zero_grad
"""
NAMES_OF_MODULES = frozenset(_PARTS_OF_MODULES.split())
"""What torch's containers of modules call their own parts: a model cannot have a branch of such a name."""


class Parameters(BaseModel):
    """Base of all parameter models: unknown fields are errors, values do not change."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def no_repeats(what: str) -> AfterValidator:
    """The check of a field that none of its values, each of which is ``what``, is there twice."""

    def check(value: tuple[Any, ...]) -> tuple[Any, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"names {what} twice: {', '.join(map(str, value))}")
        return value

    return AfterValidator(check)


def fields_of(section: BaseModel | Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Values of all fields by their path, as JSON has them.

    >>> fields_of({"train": {"epochs": 3}})
    {'train.epochs': 3}
    """
    values = section.model_dump(mode="json") if isinstance(section, BaseModel) else section
    found: dict[str, Any] = {}
    for name, value in values.items():
        found |= fields_of(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return found
