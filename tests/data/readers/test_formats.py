"""Every form in which people keep embeddings gives the same table, value for value, as the ``.npy`` does.

What Hugging Face datasets, Spark, polars and clip-retrieval write is written with pyarrow, in their layout.
"""

import gzip
import json
import pickle
from dataclasses import replace

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from price_fusion.data.checks.values import refuse_unusable
from price_fusion.data.ids import rows_of
from price_fusion.data.readers.embedding_files import locate_embeddings, read_embeddings
from price_fusion.data.readers.rows import Asked
from price_fusion.data.table import EmbeddingTable, draft_table, write_table
from price_fusion.errors import DataError
from price_fusion.parameters import SourceParameters

ROWS, WIDTH = 9_000, 11  # more rows than a batch
CHANCE = np.random.default_rng(7)
VECTORS = CHANCE.normal(size=(ROWS, WIDTH)).astype(np.float16)
IDS = CHANCE.permutation(ROWS) + 10_000
FLAT = pa.array(VECTORS.ravel())
NAMES = [f"emb_{number}" for number in range(WIDTH)]
SOURCE = SourceParameters(width=WIDTH, group="text")


def table(vectors, ids=IDS):
    return pa.table({"sample_id": ids, "embedding": vectors})


def fixed(values=FLAT):
    return pa.FixedSizeListArray.from_arrays(values, WIDTH)


def halves():
    """float16 as two bytes, as parquet knows it."""
    return pa.Array.from_buffers(pa.binary(2), VECTORS.size, [None, pa.py_buffer(VECTORS.tobytes())])


def write_pickle(path, content):
    path.write_bytes(pickle.dumps(content))
    return path


def write_npy(folder, **files):
    folder.mkdir()
    for name, array in files.items():
        np.save(folder / f"{name}.npy", array)
    return folder


def beside(folder, name, content):
    write_npy(folder, embeddings=VECTORS)
    (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
    return folder


def npz(path, save=np.savez, **arrays):
    with path.open("wb") as file:
        save(file, **arrays)
    return path


def torch_file(path, content, **options):
    torch = pytest.importorskip("torch")
    torch.save(content(torch), path, **options)
    return path


def safetensors_file(path, tensors, metadata=None):
    pytest.importorskip("safetensors.numpy").save_file(tensors, path, metadata)
    return path


def parquet(path, content, **options):
    pq.write_table(content, path, **options)
    return path


def parts(folder, count=4):
    folder.mkdir()
    (folder / "_SUCCESS").touch()
    for part, rows in enumerate(np.array_split(np.arange(ROWS), count)):
        vectors = pa.array(list(VECTORS[rows]), pa.list_(pa.float16()))
        pq.write_table(table(vectors, IDS[rows]), folder / f"part-{part:05d}-c000.snappy.parquet")
    return folder


def clip_retrieval(folder):
    for name in ("img_emb", "metadata"):
        (folder / name).mkdir(parents=True)
    for part, rows in enumerate(np.array_split(np.arange(ROWS), 12)):
        np.save(folder / f"img_emb/img_emb_{part}.npy", VECTORS[rows])
        metadata = pa.table({"image_path": IDS[rows].astype(str), "caption": ["..."] * len(rows)})
        pq.write_table(metadata, folder / f"metadata/metadata_{part}.parquet")
    return folder


def stream(path, content, rows=1_000):
    with pa.ipc.new_stream(path, content.schema) as writer:
        writer.write_table(content, max_chunksize=rows)
    return path


def without_first_schema(path):
    """As polars writes IPC files: no message of the schema that a stream would begin with."""
    content = path.read_bytes()
    path.write_bytes(content[:8] + bytes(8) + content[16:])
    return path


def saved_dataset(folder):
    """As ``Dataset.save_to_disk`` leaves it: streams, and a list of them in their order."""
    folder.mkdir()
    names = [f"data-{part:05d}-of-00002.arrow" for part in (0, 1)]
    lists = pa.array(list(VECTORS), pa.list_(pa.float16()))
    for name, rows in zip(names, (slice(0, 5_000), slice(5_000, ROWS)), strict=True):
        stream(folder / name, table(lists, IDS).slice(rows.start, rows.stop - rows.start))
    (folder / "state.json").write_text(
        json.dumps({"_data_files": [{"filename": name} for name in names], "_split": None})
    )
    (folder / "dataset_info.json").write_text("{}")
    return folder


def frame(**options):
    return pd.DataFrame(VECTORS.astype(np.float32), columns=NAMES, **options)


def with_ids():
    wide = frame()
    wide.insert(0, "sample_id", IDS)
    return wide


def tensor_extension():
    return pa.ExtensionArray.from_storage(pa.fixed_shape_tensor(pa.float16(), [WIDTH]), fixed())


FORMS = {
    "npy": lambda at: write_npy(at, embeddings=VECTORS, sample_ids=IDS),
    "npy, big-endian, by columns": lambda at: write_npy(
        at, embeddings=np.asfortranarray(VECTORS.astype(">f4")), ids=IDS
    ),
    "npy, any names": lambda at: write_npy(at, clip_vit_b32=VECTORS, image_sample_ids=IDS.astype(str)),
    "npy, ids as JSON list": lambda at: beside(at, "sample_ids.json", json.dumps(IDS.tolist())),
    "npy, ids as JSON from id to row": lambda at: beside(
        at, "ids.json", json.dumps({str(one): row for row, one in enumerate(IDS)})
    ),
    "npy, ids as JSON from row to id": lambda at: beside(at, "ids.json", json.dumps(dict(enumerate(IDS.tolist())))),
    "npy, ids as CSV": lambda at: beside(at, "ids.csv", pd.DataFrame({"n": 0.5, "sample_id": IDS}).to_csv(index=False)),
    "npy, ids as a column alone": lambda at: beside(at, "sample_ids.txt", "product\n" + "\n".join(map(str, IDS))),
    "npy, ids as parquet": lambda at: beside(at, "ids.parquet", in_memory(pa.table({"sample_id": IDS, "n": IDS}))),
    "pickle": lambda at: write_pickle(at, {"embeddings": VECTORS, "sample_ids": IDS.tolist()}),
    "pickle of vectors by id": lambda at: write_pickle(at, dict(zip(IDS.tolist(), VECTORS, strict=True))),
    "pickle of lists by id": lambda at: write_pickle(at, dict(zip(IDS.astype(str), VECTORS.tolist(), strict=True))),
    "pickle of vectors of one row by id": lambda at: write_pickle(
        at, {one: vector[None] for one, vector in zip(IDS, VECTORS, strict=True)}
    ),
    "pickle of a list of vectors": lambda at: write_pickle(at, {"embedding": list(VECTORS), "ids": list(IDS)}),
    "pickle of a frame": lambda at: write_pickle(at, pd.DataFrame({"id": IDS, "embedding": list(VECTORS)})),
    "pickle of a wide frame": lambda at: write_pickle(at, frame(index=pd.Index(IDS, name="sample_id"))),
    "npz": lambda at: npz(at, embeddings=VECTORS, sample_ids=IDS),
    "npz, compressed": lambda at: npz(at, np.savez_compressed, clip=VECTORS, ids=IDS.astype(str)),
    "torch.save": lambda at: torch_file(
        at, lambda torch: {"embeddings": torch.from_numpy(VECTORS), "sample_ids": torch.from_numpy(IDS)}
    ),
    "torch.save of tensors by id": lambda at: torch_file(
        at, lambda torch: dict(zip(IDS.tolist(), torch.from_numpy(VECTORS), strict=True))
    ),
    "torch.save of a parameter and a list": lambda at: torch_file(
        at,
        lambda torch: {
            "embeddings": torch.nn.Parameter(torch.from_numpy(VECTORS).float()),
            "ids": IDS.astype(str).tolist(),
        },
    ),
    "safetensors": lambda at: safetensors_file(at, {"embeddings": VECTORS, "sample_ids": IDS}),
    "safetensors, ids in its metadata": lambda at: safetensors_file(
        at, {"embeddings": VECTORS}, {"sample_ids": json.dumps(IDS.astype(str).tolist())}
    ),
    "safetensors by id": lambda at: safetensors_file(
        at, {str(one): vector for one, vector in zip(IDS, VECTORS.astype(np.float32), strict=True)}
    ),
    "parquet, list": lambda at: parquet(at, table(pa.array(list(VECTORS), pa.list_(pa.float16())))),
    "parquet, large list": lambda at: parquet(at, table(pa.array(VECTORS.tolist(), pa.large_list(pa.float64())))),
    "parquet, fixed-size list": lambda at: parquet(at, table(fixed()), row_group_size=500),
    "parquet, lists of two bytes": lambda at: parquet(at, table(fixed(halves()))),
    "parquet, tensor extension": lambda at: parquet(at, table(tensor_extension())),
    "parquet, lists of lists": lambda at: parquet(
        at, table(pa.ListArray.from_arrays(np.arange(ROWS + 1, dtype=np.int32), fixed()))
    ),
    "parquet, bytes": lambda at: parquet(at, table(pa.array([row.astype("<f4").tobytes() for row in VECTORS]))),
    "parquet, a column a dimension": lambda at: (with_ids().to_parquet(at, index=False), at)[1],
    "parquet, columns of float16": lambda at: parquet(
        at, pa.table({"sample_id": IDS, **{name: VECTORS[:, place] for place, name in enumerate(NAMES)}})
    ),
    "parquet, columns of two bytes": lambda at: parquet(
        at,
        pa.table(
            {
                "sample_id": IDS,
                **{
                    name: halves().take(pa.array(range(place, VECTORS.size, WIDTH))) for place, name in enumerate(NAMES)
                },
            }
        ),
    ),
    "parquet, columns sorted by name": lambda at: parquet(
        at, pa.Table.from_pandas(with_ids()[["sample_id", *sorted(NAMES)]], preserve_index=False)
    ),
    "parquet, any name": lambda at: parquet(at, pa.table({"title": ["x"] * ROWS, "vit_b32": fixed(), "id": IDS})),
    "parquet, parts": parts,
    "clip-retrieval": clip_retrieval,
    "Arrow IPC": lambda at: (pa.feather.write_feather(table(fixed()), str(at), compression="zstd", chunksize=700), at)[
        1
    ],
    "Arrow IPC, schema in its footer": lambda at: without_first_schema(FORMS["Arrow IPC"](at)),
    "Arrow IPC stream": lambda at: stream(at, table(pa.array(list(VECTORS), pa.list_(pa.float16())))),
    "saved dataset": saved_dataset,
    "gzip of a pickle": lambda at: packed(write_pickle(at, {"embeddings": VECTORS, "sample_ids": IDS})),
}


def in_memory(content):
    sink = pa.BufferOutputStream()
    pq.write_table(content, sink)
    return sink.getvalue().to_pybytes()


def packed(path):
    path.write_bytes(gzip.compress(path.read_bytes(), 1))
    return path


def as_table(raw, folder):
    write_table(folder, "words", draft_table(raw, SOURCE))
    return EmbeddingTable(folder)


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    folder = tmp_path_factory.mktemp("npy")
    return as_table(read_embeddings(FORMS["npy"](folder / "raw")), folder / "table")


@pytest.mark.parametrize("form", FORMS)
def test_each_form_gives_the_table_of_the_npy(tmp_path, form, expected):
    raw = read_embeddings(FORMS[form](tmp_path / "misleading.csv"))
    if form == "safetensors by id":  # which sorts by name
        rows = rows_of(IDS, raw.ids)
        raw = replace(raw, ids=raw.ids[rows], vectors=raw.vectors[rows])
    made = as_table(raw, tmp_path / "table")
    assert made.fingerprint == expected.fingerprint  # of the bytes of ids and vectors
    assert np.array_equal(made.ids, IDS)
    assert np.array_equal(np.concatenate(made.vectors), VECTORS)


def test_bfloat16_keeps_its_values(tmp_path):
    torch = pytest.importorskip("torch")
    from safetensors.torch import save_file

    vectors = torch.from_numpy(VECTORS).bfloat16()
    save_file({"embeddings": vectors, "sample_ids": torch.from_numpy(IDS)}, tmp_path / "a")
    torch.save({"embeddings": vectors, "sample_ids": IDS.tolist()}, tmp_path / "b")
    for name in "ab":
        raw = read_embeddings(tmp_path / name)
        assert raw.vectors.dtype == np.float32
        assert np.array_equal(raw.vectors, vectors.float().numpy())


def test_the_files_that_are_read_are_known_beforehand(tmp_path):
    def names(form):
        path = FORMS[form](tmp_path / form.replace(",", ""))
        return sorted(str(one.relative_to(path)) for one in locate_embeddings(path).files)

    assert names("npy, ids as CSV") == ["embeddings.npy", "ids.csv"]
    assert names("parquet, parts")[-1] == "part-00003-c000.snappy.parquet"
    assert len(names("clip-retrieval")) == 24
    assert names("saved dataset") == ["data-00000-of-00002.arrow", "data-00001-of-00002.arrow"]
    path = FORMS["npz"](tmp_path / "a.npz")
    assert locate_embeddings(path).files == [path]
    assert locate_embeddings(path, asked=Asked(ids="products")).needs_products


@pytest.mark.parametrize(
    ("form", "place"),
    [
        ("npy, ids as CSV", "embeddings.npy: row 7000"),
        ("parquet, parts", "part-00003-c000.snappy.parquet: row 250"),
        ("clip-retrieval", "img_emb_9.npy: row 250"),
        ("saved dataset", "data-00001-of-00002.arrow: row 2000"),
        ("npz", "npz: row 7000"),
    ],
)
def test_the_file_of_a_value_that_cannot_be_used_is_named(tmp_path, form, place):
    raw = read_embeddings(FORMS[form](tmp_path / form.replace(",", "")))
    vectors = np.array(raw.vectors)
    vectors[7_000, 3] = np.nan
    with pytest.raises(DataError, match=rf"/{place} \(id {IDS[7_000]}\), column 3: found nan"):
        refuse_unusable(replace(raw, vectors=vectors))


def test_arrow_that_breaks_off_or_goes_on_is_refused(tmp_path):
    """Neither a stream nor a footer has a checksum, so what they say of batches is compared with what is there."""
    whole = stream(tmp_path / "a", table(fixed()), rows=3_000).read_bytes()
    third = whole.rindex(b"\xff\xff\xff\xff", 0, len(whole) - 8)
    for content, said in [
        (whole[:third], "breaks off after 2 batches"),
        (whole[:-8], "breaks off after 3 batches"),
        (whole + b"\0" * 8, "8 more bytes after the end"),
        (whole + whole, "more bytes after the end"),
        (whole[:-100], "could not be read"),
    ]:
        (tmp_path / "b").write_bytes(content)
        with pytest.raises(DataError, match=said):
            read_embeddings(tmp_path / "b")


def test_a_saved_dataset_is_read_whole_or_refused(tmp_path):
    folder = saved_dataset(tmp_path / "data")
    (folder / "data-00001-of-00002.arrow").rename(tmp_path / "elsewhere")
    with pytest.raises(DataError, match=r"names files that are not there \(data-00001-of-00002\.arrow\)"):
        read_embeddings(folder)
    (folder / "state.json").write_text(
        json.dumps({"_data_files": [], "_indices_data_files": [{"filename": "i.arrow"}]})
    )
    with pytest.raises(DataError, match=r"chosen by indices, .*flatten_indices"):
        read_embeddings(folder)
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["data"]}')
    with pytest.raises(DataError, match="a Hugging Face DatasetDict with data, expected one split"):
        read_embeddings(tmp_path)


def test_parts_of_clip_retrieval_are_all_there_with_their_ids(tmp_path):
    folder = clip_retrieval(tmp_path / "clip")
    (folder / "text_emb").mkdir()
    np.save(folder / "text_emb/text_emb_0.npy", VECTORS)
    with pytest.raises(
        DataError, match=r"found the folders of parts img_emb, text_emb, expected one.*embeddings: img_emb"
    ):
        read_embeddings(folder)
    assert len(read_embeddings(folder, asked=Asked("img_emb")).ids) == ROWS
    with pytest.raises(DataError, match=r"found 1 part\(s\) of vectors and 12 of metadata"):
        read_embeddings(folder, asked=Asked("text_emb"))
    (folder / "metadata/metadata_3.parquet").unlink()
    with pytest.raises(DataError, match=r"found 12 part\(s\) of vectors and 11 of metadata, .*not so for 3\)"):
        read_embeddings(folder, asked=Asked("img_emb"))
    (folder / "img_emb/img_emb_3.npy").unlink()
    with pytest.raises(DataError, match=r"found 11 parts up to number 11, of which 3 are not there"):
        read_embeddings(folder, asked=Asked("img_emb"))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("ids.json", json.dumps({"a": 0, "b": 0}), "each of the rows 0 to 2 of the vectors once"),
        ("ids.json", json.dumps({"1": 0, "2": 1, "0": 2}), "can be read from id to row and from row to id"),
        ("ids.json", '{"a": 0, "a": 1, "b": 2}', r"1 key\(s\) more than once \(a\)"),
        ("ids.json", "[7, 8]", "found 2 ids for 3 rows of vectors"),
        ("ids.json", "[7, 8", "could not be read .*expected JSON"),
        ("ids.csv", "sku,n\na,1\nb,2\nc,3\n", "no column 'sample_ids', only 'sku', 'n'"),
        ("ids.csv", "sample_id\na\nb\na\n", "'a' in rows 0, 2"),
    ],
)
def test_ids_beside_vectors_that_cannot_be_used_are_refused(tmp_path, name, content, said):
    np.save(tmp_path / "embeddings.npy", VECTORS[:3])
    (tmp_path / name).write_text(content)
    with pytest.raises(DataError, match=said) as caught:
        read_embeddings(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_a_column_of_ids_may_be_named(tmp_path):
    np.save(tmp_path / "embeddings.npy", VECTORS[:3])
    (tmp_path / "products.csv").write_text("sku,n\na,1\nb,2\nc,3\n")
    raw = read_embeddings(tmp_path, asked=Asked(ids="products.csv", id_column="sku"))
    assert raw.ids.tolist() == ["a", "b", "c"]


@pytest.mark.parametrize(
    "write",
    [
        lambda at: npz(at, vectors=VECTORS[:3]),
        lambda at: safetensors_file(at, {"vectors": VECTORS[:3]}),
        lambda at: write_pickle(at, {"vectors": VECTORS[:3]}),
        lambda at: write_pickle(at, VECTORS[:3]),
        lambda at: packed(write_pickle(at, {"vectors": VECTORS[:3]})),
    ],
)
def test_ids_of_named_arrays_may_be_in_a_file_beside_them(tmp_path, write):
    path, asked = write(tmp_path / "vectors.bin"), Asked(ids="order.csv", id_column="sku")
    (tmp_path / "order.csv").write_text("sku,n\na,1\nb,2\nc,3\n")
    raw = read_embeddings(path, asked=asked)
    assert raw.ids.tolist() == ["a", "b", "c"]
    assert np.array_equal(raw.vectors, VECTORS[:3])
    assert locate_embeddings(path, asked=asked).files == [path, tmp_path / "order.csv"]
    (tmp_path / "order.csv").write_text("sku,n\na,1\nb,2\n")
    with pytest.raises(DataError, match="found 2 ids for 3 rows of vectors"):
        read_embeddings(path, asked=asked)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda at: npz(at, embeddings=VECTORS, sample_ids=IDS.astype(object)),
            r"'sample_ids': found an array of Python objects",
        ),
        (lambda at: npz(at, embeddings=VECTORS, labels=IDS), "no key 'sample_ids', only 'embeddings', 'labels'"),
        (
            lambda at: torch_file(at, lambda torch: {"model": torch.nn.Linear(2, 2)}),
            "asks for 'torch.nn.modules.linear.Linear'",
        ),
        (
            lambda at: torch_file(at, lambda torch: {"e": torch.ones(2, 2)}, _use_new_zipfile_serialization=False),
            "torch.save in its old format .*write it again with torch.save",
        ),
        (
            lambda at: safetensors_file(at, {"embeddings": VECTORS.view(np.int16), "sample_ids": IDS}),
            "no key|dtype int16",
        ),
    ],
)
def test_contents_that_cannot_be_used_are_named(tmp_path, make, said):
    with pytest.raises(DataError, match=said):
        read_embeddings(make(tmp_path / "a"))
