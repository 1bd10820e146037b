"""At the end of a run the leaderboard, its document and its page say what has become stale, and what they are made from stays."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import pytest
from kedro.io import DataCatalog

from price_fusion.datasets.checkpoint import CheckpointDataset
from price_fusion.datasets.made_from import Origins
from price_fusion.datasets.whole_file import WholeFileDataset
from price_fusion.hooks.stale_leaderboard import StaleLeaderboardHooks
from price_fusion.models.checkpoint import checkpoint_digest, save_checkpoint
from price_fusion.selection.stale_lines import short_digest
from support.whole import whole

if TYPE_CHECKING:
    from price_fusion.models.checkpoint import Checkpoint

FACTS = {"params:seed": (41,)}


@pytest.fixture
def catalog(tmp_path: Path, make_checkpoint: Callable[..., Checkpoint]) -> DataCatalog:
    """Of a leaderboard of the variant ``tiny``, whose checkpoint is there."""
    datasets = {
        "leaderboard": WholeFileDataset(
            dataset={
                "type": "price_fusion.datasets.SafeCSVDataset",
                "filepath": str(tmp_path / "leaderboard.csv"),
                "load_args": {"dtype": {"checkpoint": "object", "stale": "object"}},
            }
        ),
        "leaderboard_json": whole(tmp_path / "leaderboard.json"),
        "comparison_report": whole(tmp_path / "report.html"),
    }
    for dataset in datasets.values():
        dataset.origins = Origins(FACTS)
    datasets["comparison_report"].origins = Origins(FACTS, {"leaderboard": datasets["leaderboard"]})
    found = DataCatalog(
        {**datasets, "tiny.checkpoint": CheckpointDataset(filepath=str(tmp_path / "tiny/checkpoint.safetensors"))}
    )
    save_checkpoint(tmp_path / "tiny/checkpoint.safetensors", make_checkpoint())
    digest = short_digest(checkpoint_digest(make_checkpoint()))
    found.save("leaderboard", pd.DataFrame({"model": ["tiny", "ridge"], "checkpoint": [digest, None], "stale": ""}))
    found.save("leaderboard_json", {"best": "tiny", "models": [{"model": "tiny", "stale": ""}, {"model": "ridge"}]})
    found.save("comparison_report", "<header></header>")
    return found


def test_all_say_what_is_stale_until_it_no_longer_is(
    catalog: DataCatalog, tmp_path: Path, make_checkpoint: Callable[..., Checkpoint], caplog: pytest.LogCaptureFixture
) -> None:
    files = [tmp_path / name for name in ("leaderboard.csv", "leaderboard.json", "report.html")]
    before = [path.read_bytes() for path in files]
    StaleLeaderboardHooks().after_pipeline_run(catalog)
    assert [path.read_bytes() for path in files] == before

    checkpoint = tmp_path / "tiny/checkpoint.safetensors"
    save_checkpoint(checkpoint, make_checkpoint("concat"))
    with caplog.at_level(logging.WARNING):
        StaleLeaderboardHooks().on_pipeline_error(catalog)
    assert any("leaderboard: Stale: figures of tiny are from an earlier run" in message for message in caplog.messages)
    assert all(b"earlier run" in path.read_bytes() for path in files)
    assert catalog.load("leaderboard")["stale"][0].startswith("stale: made from an earlier run of tiny")
    assert [catalog.get(name).made_from() for name in ("leaderboard", "leaderboard_json", "comparison_report")] == [
        FACTS
    ] * 3
    after = [path.read_bytes() for path in files]
    StaleLeaderboardHooks().after_pipeline_run(catalog)
    assert [path.read_bytes() for path in files] == after

    save_checkpoint(checkpoint, make_checkpoint())
    StaleLeaderboardHooks().after_pipeline_run(catalog)
    assert not any(b"earlier run" in path.read_bytes() for path in files)


def test_no_leaderboard_and_a_damaged_one_stop_no_run(
    catalog: DataCatalog, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    StaleLeaderboardHooks().after_pipeline_run(DataCatalog({}))
    (tmp_path / "leaderboard.csv").write_text("model\n")
    StaleLeaderboardHooks().after_pipeline_run(catalog)
    assert any("leaderboard.csv: sha256 is" in message for message in caplog.messages)
