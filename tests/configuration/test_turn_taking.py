"""Configuration is read as often as it has to be."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

from kedro.config import OmegaConfigLoader

from price_fusion.configuration.turn_taking import TurnTakingConfigLoader
from price_fusion.settings import CONFIG_LOADER_ARGS


def test_parameters_are_read_once_by_each_loader_and_handed_out_as_copies(tmp_path: Path) -> None:
    for name, text in {
        "base/globals": "raw: r\ndata: d\n",
        "base/parameters": "a: {b: '${runtime_params:c}'}",
        "local/none": "",
    }.items():
        path = tmp_path / f"{name}.yml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    loaders = [
        TurnTakingConfigLoader(str(tmp_path), runtime_params={"c": value}, **CONFIG_LOADER_ARGS) for value in (1, 2)
    ]
    with patch.object(
        OmegaConfigLoader, "_read_raw_config", autospec=True, side_effect=OmegaConfigLoader._read_raw_config
    ) as read:
        for value, loader in enumerate(loaders, start=1):
            loader["parameters"]["a"]["b"] = "changed by its caller"
            assert loader["parameters"] == {"a": {"b": value}, "c": value}
    assert [call.args[1] for call in read.call_args_list] == ["parameters", "parameters"]
    loaders[0]["parameters"] = {"set": True}
    assert loaders[0]["parameters"] == {"set": True}
