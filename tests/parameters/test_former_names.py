"""A parameter that has another name since is refused with the new one."""

import pytest

from price_fusion.errors import ParameterError
from price_fusion.parameters.project import parse_project_parameters


@pytest.mark.parametrize(
    ("section", "values", "said"),
    [
        (
            "engine",
            {"buckets": 4, "memory_gb": 1},
            "compute.partitions for engine.buckets, compute.memory_gb for engine.m",
        ),
        ("engine", {"kind": "ray"}, "engine: has become compute. Write compute.executor for engine.kind"),
        ("engine", None, "engine: has become compute. Write the section 'compute'"),
        ("compute", {"buckets": 4}, "compute.buckets: has become compute.partitions. Write compute.partitions=4"),
        ("compute", {"kind": "ray"}, "compute.kind: has become compute.executor. Write compute.executor='ray'"),
    ],
)
def test_the_new_name_is_said(section: str, values: object, said: str) -> None:
    with pytest.raises(ParameterError) as refused:
        parse_project_parameters({"variants": [], section: values})
    assert said in str(refused.value)
