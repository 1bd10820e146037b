"""A checkpoint of TabICL that cannot be used is refused with the parameters, not after hours of training."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from price_fusion.parameters import ComparisonParameters, evaluation


def test_no_checkpoint_is_fine() -> None:
    assert ComparisonParameters().tabicl_checkpoint == ""


def test_a_checkpoint_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match=r"a file that is not there: .*tabicl\.ckpt\. Nothing is downloaded"):
        ComparisonParameters(tabicl_checkpoint=str(tmp_path / "tabicl.ckpt"))


@pytest.mark.parametrize("installed", [True, False])
def test_a_checkpoint_without_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, installed: bool) -> None:
    path = tmp_path / "tabicl.ckpt"
    path.write_bytes(b"weights")
    monkeypatch.setattr(evaluation, "find_spec", lambda name: object() if installed and name == "tabicl" else None)
    if installed:
        assert ComparisonParameters(tabicl_checkpoint=str(path)).tabicl_checkpoint == str(path)
    else:
        with pytest.raises(ValidationError, match="the package tabicl is not installed: pip install"):
            ComparisonParameters(tabicl_checkpoint=str(path))
