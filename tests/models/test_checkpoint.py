"""Checkpoints: read as they were written, or refused with their path."""

from __future__ import annotations

import errno
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from price_fusion.errors import CheckpointError, StorageError
from price_fusion.models.checkpoint import (
    FORMAT_VERSION,
    HEADER,
    HEADER_KEY,
    TENSORS_DIGEST,
    Checkpoint,
    load_checkpoint,
    read_header,
    save_checkpoint,
    tensors_digest,
)
from price_fusion.parameters import ColumnSourceParameters, SourceParameters, TrainParameters
from price_fusion.storage.sealed import SEAL
from price_fusion.version import __version__

TINY_SOURCES = {
    "picture": SourceParameters(width=5, group="image"),
    "words": SourceParameters(width=9, group="text", structural_columns=3),
}
MakeCheckpoint = Callable[..., Checkpoint]


def write_with_header(path: Path, header: str) -> None:
    safetensors.torch.save_file({"a": torch.zeros(1)}, path, metadata={HEADER_KEY: header})


def write_with_fields(path: Path, fields: dict[str, Any]) -> None:
    """A checkpoint of one tensor whose digests are right."""
    weights = {"a": torch.zeros(1)}
    write_with_header(path, HEADER.text({**fields, TENSORS_DIGEST: tensors_digest(weights)}))


def refusal(read: Callable[[Path], object], path: Path) -> str:
    """The message, which names the path."""
    with pytest.raises(CheckpointError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("model", ["concat", "attention", "mixture", "hierarchical"])
def test_round_trip(make_checkpoint: MakeCheckpoint, tmp_path: Path, model: str) -> None:
    written, path = make_checkpoint(model), tmp_path / "new" / "c.safetensors"
    save_checkpoint(path, written)
    read = load_checkpoint(path)
    assert read.header == written.header == read_header(path)
    assert list(read.header.sources) == ["picture", "words"]
    assert read.weights.keys() == written.weights.keys()
    for name, tensor in written.weights.items():
        torch.testing.assert_close(read.weights[name], tensor, rtol=0, atol=0)


def test_columns_are_read_with_their_vocabulary(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    facts = ColumnSourceParameters(
        kind="columns",
        group="facts",
        numeric=("weight",),
        categorical=("colour",),
        vocabulary={"colour": ("blue", "red")},
    )
    written, path = make_checkpoint(sources=TINY_SOURCES | {"facts": facts}), tmp_path / "c.safetensors"
    save_checkpoint(path, written)
    header = read_header(path)
    assert header == written.header
    assert header.sources["facts"] == facts
    assert {type(source).__name__ for source in header.sources.values()} == {
        "SourceParameters",
        "ColumnSourceParameters",
    }
    read = load_checkpoint(path)
    for name, tensor in written.weights.items():
        assert torch.equal(read.weights[name], tensor), name


def test_a_header_from_before_averages_had_a_ramp_says_that_there_was_none(
    make_checkpoint: MakeCheckpoint, tmp_path: Path
) -> None:
    header = json.loads(make_checkpoint().header.model_dump_json())
    trained = json.loads(TrainParameters(ema_decay=0.995).model_dump_json())
    write_with_fields(tmp_path / "new.safetensors", header | {"train": trained})
    del trained["ema_ramp"]
    write_with_fields(tmp_path / "old.safetensors", header | {"train": trained})
    ramps = [read_header(tmp_path / f"{age}.safetensors").train for age in ("new", "old")]
    assert [train and train.ema_ramp for train in ramps] == [True, False]


def test_a_header_without_parameter_counts_is_read(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    header = json.loads(make_checkpoint().header.model_dump_json())
    del header["parameter_counts"]
    write_with_fields(tmp_path / "c.safetensors", header)
    assert read_header(tmp_path / "c.safetensors").parameter_counts == {}


def test_metrics_that_are_no_numbers_are_read_as_written(make_checkpoint: MakeCheckpoint, tmp_path: Path) -> None:
    path = tmp_path / "c.safetensors"
    save_checkpoint(path, make_checkpoint(validation={"r2": math.nan, "rmse": math.inf}))
    validation = read_header(path).validation
    assert math.isnan(validation["r2"])
    assert validation["rmse"] == math.inf


def test_saving_over_a_checkpoint_that_fails_keeps_the_old_one(
    make_checkpoint: MakeCheckpoint, checkpoint_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def half_write(self: Path, contents: bytes) -> None:
        with self.open("wb") as file:
            file.write(contents[:100])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", half_write)
    with pytest.raises(StorageError, match=r"No space left.*Free some space"):
        save_checkpoint(checkpoint_path, make_checkpoint(epoch=4))
    assert read_header(checkpoint_path).epoch == 3
    assert list(checkpoint_path.parent.iterdir()) == [checkpoint_path]


@pytest.mark.parametrize("read", [read_header, load_checkpoint])
class TestRefusals:
    def test_missing(self, read: Callable[[Path], object], tmp_path: Path) -> None:
        assert "kedro run --pipelines train_" in refusal(read, tmp_path / "c.safetensors")

    def test_folder(self, read: Callable[[Path], object], tmp_path: Path) -> None:
        assert "not a readable safetensors file" in refusal(read, tmp_path)

    @pytest.mark.parametrize("contents", [b"", b"PK\x03\x04", bytes(range(256)) * 40])
    def test_something_else(self, read: Callable[[Path], object], tmp_path: Path, contents: bytes) -> None:
        path = tmp_path / "c.safetensors"
        path.write_bytes(contents)
        assert "not a readable safetensors file" in refusal(read, path)

    @pytest.mark.parametrize("share", [0.01, 0.5, 0.999])
    def test_truncated(self, read: Callable[[Path], object], checkpoint_path: Path, share: float) -> None:
        contents = checkpoint_path.read_bytes()
        checkpoint_path.write_bytes(contents[: int(share * len(contents))])
        assert "not a readable safetensors file" in refusal(read, checkpoint_path)

    def test_safetensors_of_another_program(self, read: Callable[[Path], object], tmp_path: Path) -> None:
        path = tmp_path / "c.safetensors"
        safetensors.torch.save_file({"a": torch.zeros(1)}, path)
        assert "not a checkpoint of price-fusion" in refusal(read, path)

    @pytest.mark.parametrize("version", [1, 2, FORMAT_VERSION + 1, str(FORMAT_VERSION), None])
    def test_another_version(
        self, read: Callable[[Path], object], make_checkpoint: MakeCheckpoint, tmp_path: Path, version: object
    ) -> None:
        path = tmp_path / "c.safetensors"
        header = json.loads(make_checkpoint().header.model_dump_json())
        write_with_header(path, json.dumps(header | {"format_version": version, "package_version": "9.8"}))
        message = refusal(read, path)
        assert f"checkpoint of format {version!r}, written by price-fusion '9.8'" in message
        assert __version__ in message

    @pytest.mark.parametrize("header", ["", "{", "[1]", "null", f'{{"format_version": {FORMAT_VERSION}}}'])
    def test_damaged_header(self, read: Callable[[Path], object], tmp_path: Path, header: str) -> None:
        path = tmp_path / "c.safetensors"
        write_with_header(path, header)
        assert "damaged header" in refusal(read, path)

    @pytest.mark.parametrize("change", [{"median_price": "cheap"}, {"surprise": 1}, {"sources": {"a": {"width": 0}}}])
    def test_header_with_a_wrong_field(
        self, read: Callable[[Path], object], make_checkpoint: MakeCheckpoint, tmp_path: Path, change: dict[str, Any]
    ) -> None:
        path = tmp_path / "c.safetensors"
        header = json.loads(make_checkpoint().header.model_dump_json())
        write_with_fields(path, header | change)
        assert next(iter(change)) in refusal(read, path)


def stored_header(path: Path) -> dict[str, Any]:
    with safetensors.safe_open(path, framework="pt") as file:
        header: dict[str, Any] = json.loads(file.metadata()[HEADER_KEY])
    return header


def test_the_file_is_plain_safetensors_and_the_same_bytes_each_time(
    make_checkpoint: MakeCheckpoint, checkpoint_path: Path, tmp_path: Path
) -> None:
    weights = make_checkpoint().weights
    assert safetensors.torch.load_file(checkpoint_path).keys() == weights.keys()
    assert list(stored_header(checkpoint_path))[-2:] == [TENSORS_DIGEST, SEAL]
    again = tmp_path / "again.safetensors"
    save_checkpoint(again, make_checkpoint())
    assert again.read_bytes() == checkpoint_path.read_bytes()


def test_a_changed_header_is_noticed_without_the_weights(checkpoint_path: Path) -> None:
    contents = checkpoint_path.read_bytes()
    place = contents.index(b"14.25")
    checkpoint_path.write_bytes(contents[:place] + b"94" + contents[place + 2 :])
    message = refusal(read_header, checkpoint_path)
    assert "damaged header (sha256 of its contents is" in message
    assert "Train again (kedro run --pipelines train_<variant>), or bring the file back from a copy" in message


def test_a_changed_weight_is_noticed(checkpoint_path: Path) -> None:
    contents = bytearray(checkpoint_path.read_bytes())
    contents[-1] ^= 1
    checkpoint_path.write_bytes(contents)
    read_header(checkpoint_path)
    expected = stored_header(checkpoint_path)[TENSORS_DIGEST]
    message = refusal(load_checkpoint, checkpoint_path)
    assert "damaged weights (their sha256 is" in message
    assert f"expected {expected[:12]} as the header says" in message


@pytest.mark.parametrize(
    "change",
    [
        {"b": torch.tensor([1.0, 2.0])},
        {"a": torch.tensor([[1.0, 2.0]])},
        {"a": torch.tensor([1.0, 2.0], dtype=torch.bfloat16)},
        {"a": torch.tensor([1.0, -2.0])},
    ],
)
def test_a_digest_is_of_names_types_shapes_and_values(change: dict[str, torch.Tensor]) -> None:
    tensors = {"a": torch.tensor([1.0, 2.0]), "z": torch.tensor(3), "empty": torch.zeros(0, 4)}
    digest = tensors_digest(tensors)
    assert tensors_digest(dict(reversed(tensors.items()))) == digest
    assert tensors_digest({"z": tensors["z"], "empty": tensors["empty"], "a": tensors["a"], **change}) != digest


def test_reading_a_header_imports_no_torch(checkpoint_path: Path, modules_after: Callable[[str], set[str]]) -> None:
    modules = modules_after(
        "from pathlib import Path; from price_fusion.models.checkpoint import read_header; "
        f"assert read_header(Path({str(checkpoint_path)!r})).variant == 'tiny'"
    )
    assert "safetensors" in modules
    assert not modules & {"torch", "kedro"}
