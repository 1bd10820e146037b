"""Small and awkward inputs of random projects: shared by ``fuzzing.py`` and the tests."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import strategies as st
from numpy.typing import NDArray

from .random_parameters import COLUMNS

Raw = dict[str, Any]
Matrix = NDArray[np.floating[Any]]

SPARE = 5
"""Ids that are in no product table."""
TEXTS = (
    "Item Name: Soup\nBullet Point 1: Good\nValue: 12.5\nUnit: Ounce\n",
    "Item Name: Rice (Pack of 6)\nValue: 2.0\nUnit: Count\n",
    "Value: -3\nUnit: \n",
    "Value: 1e400\nUnit: Fl Oz\n",
    "",
    '=cmd|" /C calc"!A0, "quoted; text"',
    "Stra\N{LATIN SMALL LETTER SHARP S}e \N{PILE OF POO} \N{RIGHT-TO-LEFT OVERRIDE}abc",
    "x" * 3_000,
)

PRODUCTS = {
    "rows": st.sampled_from([12, 25, 40, 55, 80]),
    "tests": st.integers(1, 12),
    "seed": st.integers(0, 10_000),
    "ids": st.sampled_from(["usual", "usual", "negative", "large", "text", "padded"]),
    "prices": st.sampled_from(["usual", "usual", "usual", "equal", "two", "extreme"]),
    "texts": st.sampled_from(["own", "own", "odd", "empty"]),
    "links": st.sampled_from(["own", "own", "own", "shared", "empty"]),
    "numbers": st.sampled_from(["usual", "usual", "empty", "equal", "huge"]),
    "tuned_on": st.sampled_from(["some", "some", "none", "unknown"]),
}
"""What is drawn of the products, and from what."""
PRODUCT_FLAWS = {
    "prices": ("huge",),
    "texts": ("one",),
    "links": ("one",),
    "numbers": ("text",),
    "tuned_on": ("all",),
}
"""What most projects cannot use; one input has at most one of these."""
EMBEDDINGS = {
    "present": st.sampled_from(["all", "all", "all", "most", "half", "few"]),
    "dtype": st.sampled_from(["float16", "float32", "float64"]),
    "format": st.sampled_from(["npy"] * 8 + ["parquet"] * 3 + ["bytes"] * 3 + ["pickle"]),
    "values": st.sampled_from(["usual"] * 8 + ["zero", "equal", "small", "large", "huge"]),
    "structural": st.sampled_from(["usual", "usual", "huge"]),
}
"""What is drawn of the embeddings of each source, and from what."""
EMBEDDING_FLAWS = {
    "present": ("none", "test only", "train only"),
    "values": ("nan",),
    "structural": ("nan", "all nan", "infinite"),
    "rows": ("one twice",),
    "width": ("another",),
}
"""As ``PRODUCT_FLAWS``, of one source."""


def inputs(raw: Raw) -> st.SearchStrategy[Raw]:
    """What the inputs of a project are like; ``write_inputs`` makes the files."""
    embedded = [name for name, source in raw["sources"].items() if source.get("kind") != "columns"]
    of_sources = st.fixed_dictionaries({name: st.fixed_dictionaries(EMBEDDINGS) for name in embedded})
    drawn = st.fixed_dictionaries({**PRODUCTS, "sources": of_sources})
    return st.tuples(drawn, st.one_of(*[st.just({})] * 14, _flaws(embedded))).map(lambda both: _merged(*both))


def _flaws(embedded: list[str]) -> st.SearchStrategy[Raw]:
    """One change that most projects cannot do with."""
    of_products = [{name: value} for name, values in PRODUCT_FLAWS.items() for value in values]
    of_sources = [{name: value} for name, values in EMBEDDING_FLAWS.items() for value in values]
    if not embedded:
        return st.sampled_from(of_products)
    one_source = st.tuples(st.sampled_from(embedded), st.sampled_from(of_sources))
    return st.one_of(st.sampled_from(of_products), one_source.map(lambda drawn: {"sources": {drawn[0]: drawn[1]}}))


def _merged(drawn: Raw, flaw: Raw) -> Raw:
    both = {name: drawn["sources"][name] | options for name, options in flaw.get("sources", {}).items()}
    return drawn | flaw | {"sources": drawn["sources"] | both}


def write_inputs(folder: Path, raw: Raw, drawn: Raw) -> Raw:
    """Write the files of a project.

    Args:
        folder: for them.
        raw: the project's parameters.
        drawn: by ``inputs``.

    Returns:
        catalog entries of the sources' embeddings and of their lists of ids.
    """
    chance = np.random.default_rng(drawn["seed"])
    ids = _ids(drawn, chance)
    parts = {"train": ids[: drawn["rows"]], "test": ids[drawn["rows"] : -SPARE]}
    for part, own in parts.items():
        _write_products(folder / f"{part}.csv", own, drawn, chance, labelled=part == "train")
    entries: Raw = {}
    for name, options in drawn["sources"].items():
        for part, own in parts.items():
            entry = _write_embeddings(folder / name / part, raw["sources"][name], own, options, chance, part)
            entries[f"{name}.{part}_embeddings"] = entry
        tuned_on = {"some": parts["train"][:4], "none": [], "all": parts["train"], "unknown": ids[-SPARE:]}
        path = folder / name / "tuned_on.csv"
        path.write_text("\n".join(map(str, ["sample_id", *tuned_on[drawn["tuned_on"]]])) + "\n", encoding="utf-8")
        entries[f"{name}.tuned_on_ids"] = {"type": "price_fusion.datasets.id_list.IdListDataset", "filepath": str(path)}
    return entries


# --- products -------------------------------------------------------------------------------------------------------


def _ids(drawn: Raw, chance: np.random.Generator) -> list[Any]:
    count = drawn["rows"] + drawn["tests"] + SPARE
    order = chance.permutation(count)
    kinds: Mapping[str, Any] = {
        "usual": order + 1_000,
        "negative": order - count // 2,
        "large": np.int64(2**63 - 1) - order,
        "text": [f"B0{number:04d}\N{LATIN SMALL LETTER E WITH ACUTE}" for number in order],
        "padded": [f"{number:05d}" for number in order],
    }
    return list(kinds[drawn["ids"]])


def _prices(kind: str, count: int, chance: np.random.Generator) -> NDArray[np.float64]:
    kinds = {
        "usual": np.exp(chance.normal(2.6, 1.0, count)).round(2) + 0.01,
        "equal": np.full(count, 9.99),
        "two": chance.choice([1.0, 1e5], count),
        "extreme": 10.0 ** chance.uniform(-4, 6, count),
        "tiny": 10.0 ** chance.uniform(-300, -250, count),
        "huge": 10.0 ** chance.uniform(30, 300, count),
    }
    return kinds[kind]


def _texts(kind: str, count: int, chance: np.random.Generator) -> list[str]:
    kinds = {
        "own": [
            f"Item Name: product {row}\nValue: {row % 7}.5\nUnit: Ounce\n" for row in chance.permutation(10**6)[:count]
        ],
        "odd": [str(text) for text in chance.choice(TEXTS, count)],
        "empty": [""] * count,
        "one": [TEXTS[0]] * count,
    }
    return kinds[kind]


def _links(kind: str, count: int, chance: np.random.Generator) -> list[str]:
    numbers = chance.permutation(10**6)[:count]
    kinds = {
        "own": [f"https://example.org/{number}.jpg" for number in numbers],
        "shared": [f"https://example.org/{number % 30}.jpg" for number in numbers],
        "empty": [""] * count,
        "one": ["https://example.org/a.jpg"] * count,
    }
    return kinds[kind]


def _numbers(kind: str, count: int, chance: np.random.Generator) -> list[str]:
    kinds = {
        "usual": ["" if number < 0.1 else f"{number:.3f}" for number in chance.uniform(size=count)],
        "empty": [""] * count,
        "equal": ["3"] * count,
        "huge": [f"{10.0**power:.3e}" for power in chance.uniform(-50, 50, count)],
        "text": [*["1.5"] * (count - 1), "a lot"],
    }
    return kinds[kind]


def _write_products(path: Path, ids: list[Any], drawn: Raw, chance: np.random.Generator, *, labelled: bool) -> None:
    count = len(ids)
    columns: dict[str, Any] = {
        "sample_id": ids,
        "catalog_content": _texts(drawn["texts"], count, chance),
        "image_link": _links(drawn["links"], count, chance),
        COLUMNS[0]: _numbers(drawn["numbers"], count, chance),
        COLUMNS[1]: chance.choice(["Heinz", "", "Acme", "heinz "], count),
        COLUMNS[2]: [f"colour {row}" for row in range(count)],
        COLUMNS[3]: _numbers("usual", count, chance),
    }
    if labelled:
        columns["price"] = [repr(float(price)) for price in _prices(drawn["prices"], count, chance)]
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))


# --- embeddings -----------------------------------------------------------------------------------------------------


def _write_embeddings(
    folder: Path, source: Raw, products: list[Any], options: Raw, chance: np.random.Generator, part: str
) -> Raw:
    folder.mkdir(parents=True)
    ids = _present(options["present"], products, chance, part)
    if options.get("rows") == "one twice":
        ids = [*ids, *ids[:1]]
    vectors = _vectors(source, len(ids), options, chance)
    path, extra = _WRITERS[options["format"]](folder, ids, vectors)
    return {
        "type": "price_fusion.datasets.embedding_files.EmbeddingFilesDataset",
        "filepath": str(path),
        **extra,
    }


def _present(kind: str, products: list[Any], chance: np.random.Generator, part: str) -> list[Any]:
    if kind in ("test only", "train only"):
        return products if part in kind else []
    share = {"all": 1.0, "most": 0.9, "half": 0.5, "few": 0.05, "none": 0.0}[kind]
    order = chance.permutation(len(products))[: math.ceil(share * len(products))]
    return [products[row] for row in order]


def _vectors(source: Raw, count: int, options: Raw, chance: np.random.Generator) -> Matrix:
    structural = source.get("structural_columns", 0)
    width = source["width"] + (options.get("width") == "another")
    scale = {"zero": 0.0, "small": 1e-6, "large": 1e3, "huge": 3e4}.get(options["values"], 1.0)
    matrix = chance.normal(size=(count, width)) * scale
    if options["values"] == "equal":
        matrix[:] = 0.25
    plain = matrix[:, width - structural :] if structural else matrix[:, :0]
    plain[:] = np.abs(chance.normal(size=plain.shape)).round(2)
    hidden = chance.uniform(size=plain.shape) < {"nan": 0.3, "all nan": 1.0}.get(options["structural"], 0.0)
    plain[hidden] = np.nan
    if count and plain.size:
        plain[0] = {"huge": 6e4}.get(options["structural"], plain[0])
    matrix = matrix.clip(-6e4, 6e4).astype(options["dtype"])
    if count and structural and options["structural"] == "infinite":
        matrix[0, -1] = np.inf
    if count and options["values"] == "nan":
        matrix[count // 2, 0] = np.nan
    return matrix


def _id_array(ids: list[Any]) -> NDArray[Any]:
    return np.array(ids, dtype=np.str_ if ids and isinstance(ids[0], str) else np.int64)


def _write_npy(folder: Path, ids: list[Any], vectors: Matrix) -> tuple[Path, Raw]:
    np.save(folder / "embeddings.npy", vectors)
    np.save(folder / "sample_ids.npy", _id_array(ids))
    return folder, {}


def _write_parquet(folder: Path, ids: list[Any], vectors: Matrix) -> tuple[Path, Raw]:
    items = pa.array(list(vectors), type=pa.list_(pa.from_numpy_dtype(vectors.dtype)))
    pq.write_table(pa.table({"sample_id": pa.array(_id_array(ids)), "embedding": items}), folder / "e.parquet")
    return folder / "e.parquet", {}


def _write_bytes(folder: Path, ids: list[Any], vectors: Matrix) -> tuple[Path, Raw]:
    kind = "float16" if vectors.dtype == np.float16 else "float32"
    cells = pa.array([row.tobytes() for row in vectors.astype(kind)], type=pa.binary())
    pq.write_table(pa.table({"sample_id": pa.array(_id_array(ids)), "embedding": cells}), folder / "e.parquet")
    return folder / "e.parquet", {"binary_dtype": kind}


def _write_pickle(folder: Path, ids: list[Any], vectors: Matrix) -> tuple[Path, Raw]:
    import pickle

    (folder / "e.pkl").write_bytes(pickle.dumps({"sample_ids": _id_array(ids), "embeddings": vectors}))
    return folder / "e.pkl", {}


_WRITERS = {"npy": _write_npy, "parquet": _write_parquet, "bytes": _write_bytes, "pickle": _write_pickle}
