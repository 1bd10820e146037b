"""A line of a leaderboard is stale while the checkpoint that is there is another than its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch

from price_fusion.models.checkpoint import checkpoint_digest, save_checkpoint, saved_digest
from price_fusion.selection.stale_lines import marked, notice, short_digest

if TYPE_CHECKING:
    from price_fusion.models.checkpoint import Checkpoint


def board(checkpoint: Checkpoint) -> pd.DataFrame:
    return pd.DataFrame({"model": ["tiny", "ridge"], "checkpoint": [short_digest(checkpoint_digest(checkpoint)), None]})


def test_a_digest_in_memory_is_that_on_disk(make_checkpoint: Callable[..., Checkpoint], tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.safetensors"
    save_checkpoint(path, make_checkpoint())
    assert saved_digest(path) == checkpoint_digest(make_checkpoint())
    other = make_checkpoint()
    name = next(iter(other.weights))
    other.weights[name] = torch.nextafter(other.weights[name], torch.tensor(np.inf))
    assert checkpoint_digest(other) != saved_digest(path)


def test_a_line_is_stale_while_another_checkpoint_is_there(
    make_checkpoint: Callable[..., Checkpoint], tmp_path: Path
) -> None:
    path, first, second = tmp_path / "tiny/checkpoint.safetensors", make_checkpoint(), make_checkpoint("concat")
    save_checkpoint(path, first)
    leaderboard = marked(board(first), lambda _: path)
    assert leaderboard["stale"].tolist() == ["", ""]
    assert notice(leaderboard) is None

    save_checkpoint(path, second)
    leaderboard = marked(leaderboard, lambda _: path)
    again = "run: kedro run --pipelines compare"
    assert leaderboard["stale"].tolist() == [f"stale: made from an earlier run of tiny; {again}", ""]
    said = notice(leaderboard) or ""
    assert said.startswith("Stale: figures of tiny are from an earlier run")
    assert said.endswith("Run: kedro run --pipelines compare")

    path.unlink()
    assert marked(leaderboard, lambda _: path)["stale"][0].startswith(
        "stale: the checkpoint of tiny is no longer there"
    )
    save_checkpoint(path, first)
    assert marked(leaderboard, lambda _: path)["stale"].tolist() == ["", ""]


def test_a_leaderboard_of_an_earlier_release_says_nothing() -> None:
    leaderboard = pd.DataFrame({"model": ["tiny"]})
    pd.testing.assert_frame_equal(marked(leaderboard, lambda _: None), leaderboard)
    assert notice(leaderboard) is None
