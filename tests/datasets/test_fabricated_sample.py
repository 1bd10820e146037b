from __future__ import annotations

import errno
import json
import os
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from price_fusion.datasets.errors import DatasetFileError
from price_fusion.datasets.fabricated_sample import (
    MARKER_NAME,
    EmbeddingFile,
    FabricatedSample,
    FabricatedSampleDataset,
    ProductFile,
    SamplePart,
)

FILES = {
    f"{folder}/{name}"
    for part in ("train", "test")
    for folder, name in (
        ("dataset", f"{part}.csv"),
        (f"embeddings/clip/{part}", "image_embeddings.npy"),
        (f"embeddings/clip/{part}", "sample_ids.npy"),
        (f"embeddings/siglip/{part}", "image_embeddings.npy"),
        (f"embeddings/siglip/{part}", "text_embeddings.npy"),
        (f"embeddings/siglip/{part}", "image_sample_ids.npy"),
        ("embeddings/qwen", f"qwen3_embeddings_{part}.pkl"),
    )
}


class Killed(BaseException):
    """Stands for a SIGKILL: nothing in the code under test catches it."""


def part(first_id: int, scale: int, priced: bool) -> SamplePart:
    ids = np.arange(first_id, first_id + 3, dtype=np.int64)
    vectors = EmbeddingFile(ids, np.full((3, 4), scale, dtype=np.float32))
    products = ProductFile(
        sample_ids=ids,
        catalog_contents=['Item Name: a "b", c\nValue: 1.0\n', "d", "e"],
        image_links=["x", "y", "z"],
        price_cents=np.array([5, 1999, 120000]) if priced else None,
    )
    return SamplePart(products, vectors, vectors, vectors, vectors)


def sample(scale: int = 1) -> FabricatedSample:
    return FabricatedSample(
        seed=scale,
        parameters={"labelled": 3},
        train=part(1, scale, priced=True),
        test=part(7, scale, priced=False),
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def dataset(tmp_path: Path) -> FabricatedSampleDataset:
    return FabricatedSampleDataset(filepath=str(tmp_path / "raw"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "raw"


def test_files_and_marker(dataset: FabricatedSampleDataset, folder: Path) -> None:
    assert not dataset.exists()
    dataset.save(sample())
    assert dataset.exists()
    assert set(contents(folder)) == FILES | {MARKER_NAME}
    marker = dataset.load()
    assert marker["state"] == "finished"
    assert marker["seed"] == 1
    assert marker["parameters"] == {"labelled": 3}
    assert set(marker["files"]) == FILES


def test_formats(dataset: FabricatedSampleDataset, folder: Path) -> None:
    dataset.save(sample())
    assert (folder / "dataset/train.csv").read_bytes() == (
        b"sample_id,catalog_content,image_link,price\n"
        b'1,"Item Name: a ""b"", c\nValue: 1.0\n",x,0.05\n2,d,y,19.99\n3,e,z,1200.00\n'
    )
    assert (folder / "dataset/test.csv").read_bytes().startswith(b"sample_id,catalog_content,image_link\n")
    content = pickle.loads((folder / "embeddings/qwen/qwen3_embeddings_test.pkl").read_bytes())
    assert content["sample_ids"] == [7, 8, 9]
    assert {type(sample_id) for sample_id in content["sample_ids"]} == {int}
    assert (content["data_type"], content["embedding_dim"], content["num_samples"]) == ("test", 4, 3)
    assert content["embeddings"].dtype == np.float32
    ids = np.load(folder / "embeddings/siglip/train/image_sample_ids.npy", allow_pickle=False)
    assert ids.dtype == np.int64


def test_second_run_gives_the_same_bytes(dataset: FabricatedSampleDataset, folder: Path) -> None:
    dataset.save(sample())
    before = contents(folder)
    dataset.save(sample())
    assert contents(folder) == before


def test_own_files_are_replaced(dataset: FabricatedSampleDataset, folder: Path) -> None:
    dataset.save(sample())
    before = contents(folder)
    dataset.save(sample(2))
    assert dataset.load()["seed"] == 2
    assert contents(folder) != before


@pytest.mark.parametrize("name", sorted(FILES))
def test_foreign_file_stops_before_anything_is_written(
    dataset: FabricatedSampleDataset, folder: Path, name: str
) -> None:
    target = folder / name
    target.parent.mkdir(parents=True)
    target.write_text("mine")
    with pytest.raises(DatasetFileError, match=r"was not made by 'fabricate'.*Move the file away") as caught:
        dataset.save(sample())
    assert str(target) in str(caught.value)
    assert contents(folder) == {name: b"mine"}


def test_edited_file_is_kept(dataset: FabricatedSampleDataset, folder: Path) -> None:
    dataset.save(sample())
    (folder / "dataset/train.csv").write_text("edited")
    before = contents(folder)
    with pytest.raises(DatasetFileError, match="was changed since"):
        dataset.save(sample(2))
    assert contents(folder) == before


def test_link_in_the_way_is_kept(dataset: FabricatedSampleDataset, folder: Path) -> None:
    (folder / "dataset").mkdir(parents=True)
    (folder / "dataset/train.csv").symlink_to(folder / "nowhere")
    with pytest.raises(DatasetFileError, match="not a plain file"):
        dataset.save(sample())
    assert (folder / "dataset/train.csv").is_symlink()


@pytest.mark.parametrize("content", ["{", "[]", '{"seed": 1}', '{"made_by": "x", "state": "finished", "files": {}}'])
def test_foreign_marker_is_kept(dataset: FabricatedSampleDataset, folder: Path, content: str) -> None:
    folder.mkdir()
    (folder / MARKER_NAME).write_text(content)
    with pytest.raises(DatasetFileError, match=MARKER_NAME):
        dataset.save(sample())
    with pytest.raises(DatasetFileError, match=MARKER_NAME):
        dataset.load()
    assert contents(folder) == {MARKER_NAME: content.encode()}


def test_other_files_stay(dataset: FabricatedSampleDataset, folder: Path) -> None:
    folder.mkdir()
    (folder / "notes.txt").write_text("mine")
    dataset.save(sample())
    assert (folder / "notes.txt").read_text() == "mine"


def test_load_without_sample_says_what_to_do(dataset: FabricatedSampleDataset) -> None:
    with pytest.raises(DatasetFileError, match="kedro run --pipelines fabricate"):
        dataset.load()


def test_sample_with_a_file_missing_does_not_exist(dataset: FabricatedSampleDataset, folder: Path) -> None:
    dataset.save(sample())
    (folder / "dataset/test.csv").unlink()
    assert not dataset.exists()
    dataset.save(sample())
    assert dataset.exists()


def steps_until_killed(monkeypatch: pytest.MonkeyPatch, allowed: int) -> Iterator[int]:
    """Let so many syncs and renames through, and die at the next one."""
    rename, count = Path.replace, 0

    def tick() -> None:
        nonlocal count
        if count == allowed:
            raise Killed
        count += 1

    def sync(_descriptor: int) -> None:
        tick()

    def replace(self: Path, target: Path) -> Path:
        tick()
        return rename(self, target)

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", sync)
        patch.setattr(Path, "replace", replace)
        yield count


# 14 files and a marker staged, one rename and sync each, then the last marker: 14 + 3 + 2 * 14 + 3 steps.
@pytest.mark.parametrize("earlier", [False, True], ids=["empty folder", "over an earlier sample"])
@pytest.mark.parametrize("allowed", range(48))
def test_rerun_after_a_kill(
    dataset: FabricatedSampleDataset,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    allowed: int,
    earlier: bool,
) -> None:
    if earlier:
        dataset.save(sample())
    for _ in steps_until_killed(monkeypatch, allowed):
        with pytest.raises(Killed):
            dataset.save(sample(2))
    if dataset.exists():
        seed = json.loads((folder / MARKER_NAME).read_text())["seed"]
        assert seed == (2 if allowed >= 47 else 1)
    dataset.save(sample(3))
    assert dataset.load()["seed"] == 3
    assert set(contents(folder)) == FILES | {MARKER_NAME}


def test_interrupted_sample_does_not_exist(dataset: FabricatedSampleDataset, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in steps_until_killed(monkeypatch, 30):
        with pytest.raises(Killed):
            dataset.save(sample())
    assert not dataset.exists()
    with pytest.raises(DatasetFileError, match="interrupted"):
        dataset.load()


def test_a_full_disk_is_named_and_leaves_the_earlier_sample(
    dataset: FabricatedSampleDataset, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset.save(sample())
    before = contents(folder)

    def full(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", full)
        with pytest.raises(DatasetFileError, match=r"No space left on device.*give the same command again"):
            dataset.save(sample(2))
    assert {name: contents(folder)[name] for name in before} == before
    assert dataset.load()["seed"] == 1
