"""The choice of device and precision."""

from __future__ import annotations

from typing import Literal

import pytest
import torch

from price_fusion.errors import ParameterError
from price_fusion.models.device import autocast, choose_device, uses_bf16

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


@pytest.mark.parametrize(
    ("wanted", "available", "expected"),
    [
        ("auto", False, "cpu"),
        ("auto", True, "cuda"),
        ("cpu", False, "cpu"),
        ("cpu", True, "cpu"),
        ("cuda", True, "cuda"),
    ],
)
def test_takes_the_device_that_is_wanted_or_there(
    monkeypatch: pytest.MonkeyPatch, wanted: Literal["auto", "cpu", "cuda"], available: bool, expected: str
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert choose_device(wanted).type == expected


def test_refuses_a_device_that_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ParameterError, match=r"train.device is 'cuda', .* Set it to 'auto' or 'cpu'"):
        choose_device("cuda")


@pytest.mark.parametrize("device", [CPU, CUDA])
def test_a_precision_by_name_is_taken_at_its_word(device: torch.device) -> None:
    assert uses_bf16("bf16", device)
    assert not uses_bf16("float32", device)


@pytest.mark.parametrize(("avx512", "amx"), [(False, False), (True, False), (False, True)])
def test_auto_uses_bf16_where_the_cpu_multiplies_it(monkeypatch: pytest.MonkeyPatch, avx512: bool, amx: bool) -> None:
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: avx512)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: amx)
    assert uses_bf16("auto", CPU) is (avx512 or amx)


@pytest.mark.parametrize("supported", [False, True])
def test_auto_uses_bf16_where_the_gpu_multiplies_it(monkeypatch: pytest.MonkeyPatch, supported: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: supported)
    assert uses_bf16("auto", CUDA) is supported


@pytest.mark.parametrize(("bf16", "expected"), [(True, torch.bfloat16), (False, torch.float32)])
def test_matrix_products_run_in_the_precision_asked_for(bf16: bool, expected: torch.dtype) -> None:
    matrix = torch.ones(2, 2)
    with autocast(CPU, bf16):
        assert (matrix @ matrix).dtype == expected
    assert (matrix @ matrix).dtype == torch.float32
