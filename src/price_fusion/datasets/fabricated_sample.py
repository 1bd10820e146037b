"""The fabricated sample as the reference's files, in a folder that may hold other files."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
from kedro.io import AbstractDataset
from numpy.typing import NDArray

from price_fusion.datasets.errors import DatasetFileError, kedro_errors
from price_fusion.datasets.local_path import local_path
from price_fusion.datasets.made_from import Facts
from price_fusion.datasets.recorded import RecordedOutput
from price_fusion.storage.disks import sync
from price_fusion.storage.files import sha256, storage_errors

MARKER_NAME = "fabricated.json"
_MADE_BY = "price_fusion fabricate"
_PICKLE_PROTOCOL = 4
_TEMPORARY_SUFFIX = ".fabricating"
_ADVICE = "Nothing was written. Move the file away, or point 'fabricated_sample' in the catalog to another folder"

_Writer = Callable[[IO[bytes]], object]


@dataclass(frozen=True)
class ProductFile:
    """Content of ``train.csv`` or ``test.csv``, N rows."""

    sample_ids: NDArray[np.int64]
    catalog_contents: list[str]
    image_links: list[str]
    price_cents: NDArray[np.int64] | None
    """None in test.csv."""


@dataclass(frozen=True)
class EmbeddingFile:
    """Ids, shape (N,), and the vectors of the same products, shape (N, D), float32."""

    ids: NDArray[np.int64]
    vectors: NDArray[np.float32]


@dataclass(frozen=True)
class SamplePart:
    """One half of a sample. The SigLIP arrays share their ids, as in the reference's files."""

    products: ProductFile
    clip_image: EmbeddingFile
    siglip_image: EmbeddingFile
    siglip_text: EmbeddingFile
    qwen_text: EmbeddingFile


@dataclass(frozen=True)
class FabricatedSample:
    """A made-up sample and what it was made from."""

    seed: int
    parameters: dict[str, Any]
    train: SamplePart
    test: SamplePart


@dataclass(frozen=True)
class FabricatedShop:
    """A made-up shop: rows of one file of products, N with the header, and (N, D) float32 embeddings in their order."""

    seed: int
    parameters: dict[str, Any]
    header: tuple[str, ...]
    """The first column is the id."""
    rows: list[tuple[str, ...]]
    vectors: NDArray[np.float32]


class FabricatedSampleDataset(RecordedOutput, AbstractDataset[FabricatedSample | FabricatedShop, dict[str, Any]]):
    """Writes a fabricated sample into a folder, beside whatever is there, and never over it.

    The folder gets ``dataset/``, ``embeddings/`` and a marker, ``fabricated.json``, with the seed, the parameters and
    the sha256 of each file. A file that exists is replaced only if the marker lists it with the sha256 it has on disk.

    A run may be killed between any two steps, so the order matters: all files under temporary names; a marker in state
    ``writing`` with the digests of the new files and of those they replace; the renames; the marker in state
    ``finished``. At each moment, every file under its final name is one that the marker on disk lists.

    Examples:
        >>> dataset = FabricatedSampleDataset(filepath="data/01_raw")
        >>> dataset.exists()
        False
    """

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None) -> None:
        """Name the folder.

        Args:
            filepath: the folder; made if it does not exist.
            metadata: free, for plugins; not used here.
        """
        self._folder = local_path(filepath)
        self._marker = self._folder / MARKER_NAME
        self.metadata = metadata

    def save(self, data: FabricatedSample | FabricatedShop) -> None:
        """Write all files, the finished marker last.

        Raises:
            DatasetFileError: before anything is written, if a file is in the way that this dataset did not make; or if the
                disk does not take the files.
        """
        writers = dict(_writers(data))
        replaced = self._digests_of_own_files(list(writers))
        with kedro_errors(), storage_errors(self._folder):
            self._write(data, writers, replaced)

    def _write(
        self, data: FabricatedSample | FabricatedShop, writers: dict[str, _Writer], replaced: dict[str, str]
    ) -> None:
        digests = {name: self._stage(name, write) for name, write in writers.items()}
        origin = {"made_by": _MADE_BY, "seed": data.seed, "parameters": data.parameters}
        self._write_marker({**origin, "state": "writing", "files": digests, "replaces": replaced})
        for name in writers:
            target = self._folder / name
            _temporary(target).replace(target)
            sync(target.parent)
        self._write_marker({**origin, "state": "finished", "files": digests})

    def load(self) -> dict[str, Any]:
        """The marker's content: ``seed``, ``parameters``, ``state`` and ``files`` (path to sha256).

        Raises:
            DatasetFileError: if there is no marker, or the run that wrote it was interrupted.
        """
        if not self._marker.exists():
            raise DatasetFileError(
                f"{self._marker}: not found, so there is no fabricated sample here. "
                "Make one with: kedro run --pipelines fabricate"
            )
        marker = self._read_marker()
        if marker["state"] != "finished":
            raise DatasetFileError(
                f"{self._marker}: state is {marker['state']!r}, expected 'finished': the run that wrote the sample was "
                "interrupted. Run it again: kedro run --pipelines fabricate"
            )
        return marker

    def made_from(self) -> Facts | None:
        """What the marker says: it holds seed and parameters for readers, too."""
        if not self._exists():
            return None
        marker = self._read_marker()
        return {"params:fabrication": (marker["parameters"],), "params:seed": (marker["seed"],)}

    @kedro_errors()
    def _exists(self) -> bool:
        """Whether a finished marker and all files that it lists are there."""
        if self.is_stale or not self._marker.exists():
            return False
        marker = self._read_marker()
        return marker["state"] == "finished" and all((self._folder / name).is_file() for name in marker["files"])

    def _describe(self) -> dict[str, Any]:
        return {"filepath": str(self._folder)}

    def _digests_of_own_files(self, names: list[str]) -> dict[str, str]:
        """sha256 of those files that exist, once it is certain that all of them may be replaced."""
        marker = self._read_marker() if os.path.lexists(self._marker) else {}
        found = {}
        for name in names:
            target = self._folder / name
            if not os.path.lexists(target):
                continue
            listed = {known[name] for key in ("files", "replaces") if name in (known := marker.get(key, {}))}
            found[name] = sha256(target) if target.is_file() and not target.is_symlink() else "not a plain file"
            if found[name] not in listed:
                reason = "was changed since" if listed else "was not made by 'fabricate'"
                raise DatasetFileError(
                    f"{target}: this file is in the way and {reason} (sha256 {found[name]}; {MARKER_NAME} lists "
                    f"{', '.join(sorted(listed)) or 'no such file'}). {_ADVICE}"
                )
        return found

    def _read_marker(self) -> dict[str, Any]:
        try:
            marker = json.loads(self._marker.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise DatasetFileError(f"{self._marker}: cannot be read as JSON ({error}). {_ADVICE}") from error
        if not _is_marker(marker):
            raise DatasetFileError(f"{self._marker}: is not a marker of 'fabricate'. {_ADVICE}")
        return dict(marker)

    def _write_marker(self, content: dict[str, Any]) -> None:
        text = json.dumps(content, indent=2, sort_keys=True) + "\n"
        self._stage(MARKER_NAME, lambda file: file.write(text.encode()))
        _temporary(self._marker).replace(self._marker)
        sync(self._folder)

    def _stage(self, name: str, write: _Writer) -> str:
        """Write a file under its temporary name and give the sha256 of what is on disk."""
        temporary = _temporary(self._folder / name)
        temporary.parent.mkdir(parents=True, exist_ok=True)
        with temporary.open("wb") as file:
            write(file)
        sync(temporary)
        return sha256(temporary)


def _is_marker(content: object) -> bool:
    return (
        isinstance(content, dict)
        and content.get("made_by") == _MADE_BY
        and content.get("state") in ("writing", "finished")
        and all(isinstance(content.get(key, {}), dict) for key in ("files", "replaces"))
        and "files" in content
    )


def _writers(sample: FabricatedSample | FabricatedShop) -> Iterator[tuple[str, _Writer]]:
    """Each file's path in the folder, and what writes it."""
    if isinstance(sample, FabricatedShop):
        yield "products.csv", partial(_write_rows, [sample.header, *sample.rows])
        yield "text_vectors/vectors.npy", _array_writer(sample.vectors)
        yield "text_vectors/skus.npy", _array_writer(np.array([row[0] for row in sample.rows]))
        return
    for name, part in (("train", sample.train), ("test", sample.test)):
        yield f"dataset/{name}.csv", partial(_write_products, part.products)
        clip, siglip = f"embeddings/clip/{name}", f"embeddings/siglip/{name}"
        yield f"{clip}/image_embeddings.npy", _array_writer(part.clip_image.vectors)
        yield f"{clip}/sample_ids.npy", _array_writer(part.clip_image.ids)
        yield f"{siglip}/image_embeddings.npy", _array_writer(part.siglip_image.vectors)
        yield f"{siglip}/text_embeddings.npy", _array_writer(part.siglip_text.vectors)
        yield f"{siglip}/image_sample_ids.npy", _array_writer(part.siglip_image.ids)
        yield f"embeddings/qwen/qwen3_embeddings_{name}.pkl", _pickle_writer(part.qwen_text, name)


def _array_writer(array: NDArray[Any]) -> _Writer:
    little_endian = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
    return lambda file: np.save(file, little_endian, allow_pickle=False)


def _pickle_writer(embeddings: EmbeddingFile, data_type: str) -> _Writer:
    content = {
        "embeddings": embeddings.vectors,
        "sample_ids": embeddings.ids.tolist(),
        "data_type": data_type,
        "embedding_dim": embeddings.vectors.shape[1],
        "num_samples": len(embeddings.ids),
    }
    return lambda file: pickle.dump(content, file, protocol=_PICKLE_PROTOCOL)


def _write_products(products: ProductFile, file: IO[bytes]) -> None:
    columns = [products.sample_ids.tolist(), products.catalog_contents, products.image_links]
    header = ["sample_id", "catalog_content", "image_link"]
    if products.price_cents is not None:
        header.append("price")
        columns.append([f"{cents // 100}.{cents % 100:02d}" for cents in products.price_cents.tolist()])
    _write_rows([header, *zip(*columns, strict=True)], file)


def _write_rows(rows: Sequence[Sequence[Any]], file: IO[bytes]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    file.write(text.getvalue().encode())


def _temporary(target: Path) -> Path:
    return target.with_name(f".{target.name}{_TEMPORARY_SUFFIX}")
