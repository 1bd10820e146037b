"""What single mutations of small files of embeddings do to the reading of them, a format at a time, counted by outcome.

    python -m tests.robustness.format_mutations --count 2000

Each file is cut off, has one bit flipped, or two blocks swapped, and is read by the code that a catalog's entry runs, in a
process of its own, so that a crash is counted too. Formats with a checksum must never give anything but what was written.
The others cannot know that a number was changed; what they say of shape and type must be right nonetheless.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import os
import pickle
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
from benchmarks.common import Column, Goal, ResultTable, Section, console, parse_arguments, scratch_folder, start
from safetensors.numpy import save as as_safetensors
from tests.robustness.pickle_mutations import mutated, read_forked

from price_fusion.data.readers import embedding_files
from price_fusion.data.readers.embedding_files import read_embeddings
from price_fusion.data.readers.pickles.child import set_limits
from price_fusion.data.readers.rows import Asked, FoundRows
from price_fusion.errors import PriceFusionError

ROWS, WIDTH = 12, 5
CHANCE = np.random.default_rng(11)
VECTORS = CHANCE.normal(size=(ROWS, WIDTH)).astype(np.float32)
IDS = CHANCE.permutation(ROWS) * 7 + 1_000
TABLE = pa.table({"sample_id": IDS, "embedding": pa.FixedSizeListArray.from_arrays(pa.array(VECTORS.ravel()), WIDTH)})
WIDE = pa.table({"sample_id": IDS, **{f"emb_{place}": VECTORS[:, place] for place in range(WIDTH)}})
MEMORY, SECONDS, BATCH = 2**33, 60, 200

OUTCOMES = ("right answer", "other numbers", "other ids", "other shape or type", "refused", "crash", "unnamed")
RIGHT, NUMBERS, OTHER_IDS, SHAPE, REFUSED, CRASH, UNNAMED = range(len(OUTCOMES))


def written(write: Callable[..., Any], *arguments: Any, **options: Any) -> bytes:
    """What a writer leaves."""
    buffer = io.BytesIO()
    write(*arguments, buffer, **options) if write is not np.save else write(buffer, *arguments)
    return buffer.getvalue()


def npz(save: Callable[..., None]) -> bytes:
    """An archive."""
    buffer = io.BytesIO()
    save(buffer, embeddings=VECTORS, sample_ids=IDS)
    return buffer.getvalue()


def stream() -> bytes:
    """Batches of five rows, and an end."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, TABLE.schema) as writer:
        writer.write_table(TABLE, max_chunksize=5)
    return sink.getvalue().to_pybytes()


def without_first_schema() -> bytes:
    """As polars writes IPC files: no message of the schema that a stream would begin with."""
    content = written(pyarrow.feather.write_feather, TABLE, chunksize=5)
    return content[:8] + bytes(8) + content[16:]


def torch_archive(**arrays: np.ndarray) -> bytes:
    """What ``torch.save`` leaves."""
    import torch

    buffer = io.BytesIO()
    torch.save({name: torch.from_numpy(array) for name, array in arrays.items()}, buffer)
    return buffer.getvalue()


def as_csv() -> bytes:
    """Ids and another column."""
    return "\n".join(["sample_id,title", *(f"{one},tea number {row}" for row, one in enumerate(IDS.tolist()))]).encode()


def as_json(content: object) -> bytes:
    """As ``json.dump`` writes it."""
    return json.dumps(content).encode()


CONTENT = {"embeddings": VECTORS, "sample_ids": IDS.tolist()}
FORMS: dict[str, tuple[Callable[[], bytes], bool]] = {
    "npz": (lambda: npz(np.savez), True),
    "npz, compressed": (lambda: npz(np.savez_compressed), True),
    "torch.save": (lambda: torch_archive(embeddings=VECTORS, sample_ids=IDS), True),
    "gzip of a pickle": (lambda: gzip.compress(pickle.dumps(CONTENT), mtime=0), True),
    "parquet with checksums": (lambda: written(pq.write_table, TABLE, write_page_checksum=True), False),
    "parquet": (lambda: written(pq.write_table, TABLE, row_group_size=5), False),
    "parquet, a column a dimension": (lambda: written(pq.write_table, WIDE), False),
    "safetensors": (lambda: as_safetensors({"embeddings": VECTORS, "sample_ids": IDS}), False),
    "Arrow IPC": (lambda: written(pyarrow.feather.write_feather, TABLE, chunksize=5), False),
    "Arrow IPC, schema in its footer": (without_first_schema, False),
    "Arrow IPC stream": (stream, False),
    "ids in a JSON object beside npy": (
        lambda: as_json({str(one): row for row, one in enumerate(IDS.tolist())}),
        False,
    ),
    "ids in a JSON object beside npz": (
        lambda: as_json({str(one): row for row, one in enumerate(IDS.tolist())}),
        False,
    ),
    "ids in a JSON list beside safetensors": (lambda: as_json(IDS.tolist()), False),
    "ids in a CSV beside torch.save": (as_csv, False),
    "ids in parquet beside a pickle": (lambda: written(pq.write_table, TABLE.drop(["embedding"])), False),
    "vectors by id in a pickle": (lambda: pickle.dumps(dict(zip(IDS.tolist(), VECTORS, strict=True))), False),
}
"""A writer for each, and whether all of its bytes that matter have a checksum."""
BESIDE: dict[str, Callable[[], bytes]] = {
    "npy": lambda: written(np.save, VECTORS),
    "npz": lambda: written(lambda file: np.savez(file, embeddings=VECTORS)),
    "safetensors": lambda: as_safetensors({"embeddings": VECTORS}),
    "torch.save": lambda: torch_archive(embeddings=VECTORS),
    "a pickle": lambda: pickle.dumps(VECTORS),
}
"""Writers of vectors, for files of their ids: these are mutated alone."""


def in_fork(path: Path, asked: Asked, *, kind: str = "pickle", origin: str | None = None) -> FoundRows:
    """As ``read_pickle``, with a fork in place of a new interpreter."""
    return read_forked(path, kind, origin, asked.ids)


def outcomes_of(path: Path, read_from: Path, asked: Asked, contents: list[bytes]) -> list[int]:
    """How reading each of these contents of a file ends, in a process of its own, and in another one after a crash.

    Args:
        path: the file.
        read_from: what is read: it, or the vectors beside it.
        asked: what a catalog entry would say.
        contents: one after the other.
    """
    found: list[int] = []
    while len(found) < len(contents):
        receiver, sender = os.pipe()
        child = os.fork()
        if child == 0:
            _read_all(path, read_from, asked, contents[len(found) :], sender)
        os.close(sender)
        with os.fdopen(receiver, "rb") as stream:
            found += stream.read()
        os.waitpid(child, 0)
        if len(found) < len(contents):
            found.append(CRASH)
    return found


def _read_all(path: Path, read_from: Path, asked: Asked, contents: list[bytes], sender: int) -> None:
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())
        set_limits(MEMORY, SECONDS)
        for content in contents:
            path.write_bytes(content)
            os.write(sender, bytes([_outcome(read_from, asked)]))
    finally:
        os._exit(0)


def _outcome(path: Path, asked: Asked) -> int:
    try:
        raw = read_embeddings(path, asked=asked)
    except PriceFusionError as error:
        named = str(path.parent) in str(error)
        return CRASH if "crashed the process" in str(error) else REFUSED if named else UNNAMED
    except Exception:  # what nobody expected is what is looked for
        return UNNAMED
    if raw.vectors.shape != VECTORS.shape or raw.vectors.dtype != VECTORS.dtype:
        return SHAPE
    if not np.array_equal(raw.ids.astype(str), IDS.astype(str)):
        return OTHER_IDS
    return RIGHT if np.array_equal(raw.vectors, VECTORS) else NUMBERS


def tally(form: str, count: int, folder: Path, seed: int) -> Counter[str]:
    """Mutate one file ``count`` times and read each mutation."""
    whole = FORMS[form][0]()
    source = random.Random(f"{seed} {form}")  # noqa: S311 - nothing here is secret
    path = read_from = folder / "vectors"
    asked = Asked()
    if " beside " in form:
        vectors, asked = form.rpartition(" beside ")[2], Asked(ids="sample_ids")
        read_from = folder / vectors.replace(" ", "_") / "embeddings"
        read_from.parent.mkdir()
        read_from.write_bytes(BESIDE[vectors]())
        path = read_from.with_name("sample_ids")
    assert outcomes_of(path, read_from, asked, [whole]) == [RIGHT], form
    outcomes: Counter[str] = Counter()
    for start_of_batch in range(0, count, BATCH):
        batch = [mutated(whole, source) for _ in range(min(BATCH, count - start_of_batch))]
        outcomes.update(OUTCOMES[one] for one in outcomes_of(path, read_from, asked, batch))
    return outcomes


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2_000, help="mutations, of each format")
    parser.add_argument("--seed", type=int, default=41)
    options = parse_arguments(parser, {"count": 5})
    start("Damage to files of embeddings")
    embedding_files.read_pickle = in_fork
    rows = []
    with scratch_folder(options) as scratch:
        for form, (_, checked) in FORMS.items():
            found = tally(form, options.count, Path(scratch), options.seed)
            rows.append({"file": form, "checksum": "yes" if checked else "no", **{one: found[one] for one in OUTCOMES}})
            console.print(f"{form}: {dict(found)}", highlight=False)
    total = {one: sum(row[one] for row in rows) for one in OUTCOMES}
    silent = sum(row[one] for row in rows if row["checksum"] == "yes" for one in ("other numbers", "other ids"))
    bad = {
        "checked formats read as something else": silent,
        "another shape or type": total["other shape or type"],
        "crashes and errors without a name": total["crash"] + total["unnamed"],
    }
    columns = [Column("file", "format"), Column("checksum", "checksum"), *(Column(one, one, ",d") for one in OUTCOMES)]
    note = (
        "checksum: of all that is read; pages of parquet may have one, its footer has none. Without one, a flipped bit in a number "
        "is another number; `sha256` in the catalog entry notices it"
    )
    Section(
        "format_mutations",
        "Damage to files of embeddings",
        f"{options.count:,} mutations of a small file of each of {len(FORMS)} formats, drawn at seed {options.seed}; read in forks",
        tables=[ResultTable("Outcomes of reading", columns, [*rows, {"file": "all", "checksum": "", **total}], [note])],
        goals=[
            Goal(f"damaged files of embeddings: {name}", 0, count, "of all", at_least=False)
            for name, count in bad.items()
        ],
        values={**total, **bad, "mutations": options.count * len(FORMS)},
    ).finish(options)


if __name__ == "__main__":
    main()
