"""Pickles read in a child process: what comes back, which limits hold, and that nothing is left behind."""

import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from price_fusion.data.readers.formats.named_arrays import rows_in
from price_fusion.data.readers.pickles import process
from price_fusion.data.readers.pickles.process import Limits, exchange_folder, read_pickle
from price_fusion.data.readers.pickles.unpickler import safe_load
from price_fusion.data.readers.raw import RawEmbeddings
from price_fusion.data.readers.rows import Asked
from price_fusion.errors import DataError, ParameterError, StorageError

PICKLES = sorted((Path(__file__).parent / "files").glob("*.pkl"))
IDS = [30, 10, 20]
VECTORS = np.arange(6, dtype=np.float32).reshape(3, 2)
USUAL = Asked()
NAMED = pd.Index(IDS, name="sample_id")


@pytest.fixture(autouse=True)
def exchange(tmp_path, monkeypatch):
    """The folder that files cross in, empty after each test."""
    folder = tmp_path / "exchange"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    assert not list(folder.iterdir())


def dumped(path, content, protocol=4):
    path.write_bytes(pickle.dumps(content, protocol))
    return path


def refusal(path, **limits):
    with pytest.raises(DataError) as caught:
        read_pickle(path, Asked(**limits))
    assert str(caught.value).startswith(str(path))
    return str(caught.value)


# --- what comes back ---


@pytest.mark.parametrize("path", PICKLES, ids=lambda path: path.stem)
def test_files_that_other_versions_wrote(path):
    """Through a forkless stand-in for the child, which costs no interpreter; two of them go the whole way below."""
    raw = found_in(path, None, "index" if "numbered" in path.stem else None)
    assert raw.ids.tolist() == IDS
    assert raw.vectors.tolist() == VECTORS.tolist()
    assert raw.vectors.dtype == (np.float64 if "lists" in path.stem else np.float32)


@pytest.mark.parametrize("kind", ["tensors-torch", "frame-columns-pandas-1"])
def test_the_whole_way(kind):
    path = next(path for path in PICKLES if path.name.startswith(kind))
    raw = read_pickle(path, USUAL)
    assert raw.ids.tolist() == IDS
    assert raw.vectors.tolist() == VECTORS.tolist()
    assert isinstance(raw.vectors, np.memmap)
    assert not raw.vectors.flags.writeable
    assert raw.vectors.flags.c_contiguous


def test_ids_of_text_cross_as_they_are(tmp_path):
    raw = read_pickle(dumped(tmp_path / "a", {"embeddings": VECTORS, "sample_ids": ["a", "bé", "c"]}), USUAL)
    assert raw.ids.tolist() == ["a", "bé", "c"]
    assert raw.ids.dtype.kind == "U"


def loaded_frame(frame, tmp_path, *names, protocol=5):
    return found_in(dumped(tmp_path / "frame", frame, protocol), *names)


def found_in(path, *names):
    with path.open("rb") as file:
        found = rows_in(safe_load(file, str(path)), Asked(*names), str(path))
    return RawEmbeddings.from_arrays(found.ids, found.vectors, str(path), nulls=found.nulls)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.text(max_size=6), min_size=1, max_size=8, unique=True), st.sampled_from([2, 3, 4, 5]))
def test_columns_of_any_name_keep_their_order(tmp_path_factory, names, protocol):
    names = [f"_{name}" for name in names]
    width = len(names)
    frame = pd.DataFrame(np.arange(3 * width, dtype=np.float32).reshape(3, width), columns=names)
    frame.index = pd.Index(IDS, name="sample_id")
    # A column taken out and put back lies in a block of its own.
    frame.insert(0, "_moved", np.float32(7))
    raw = loaded_frame(frame, tmp_path_factory.getbasetemp(), protocol=protocol)
    assert raw.ids.tolist() == IDS
    assert raw.vectors.tolist() == frame.to_numpy().tolist()


@pytest.mark.parametrize("storage", ["python", "pyarrow"])
def test_text_however_pandas_stores_it(tmp_path, storage):
    ids = pd.array(["a", "bé", ""], dtype=pd.StringDtype(storage))
    frame = pd.DataFrame({"id": ids, "a": VECTORS[:, 0], "b": VECTORS[:, 1]})
    frame.columns = pd.Index(["id", "a", "b"], dtype=pd.StringDtype(storage, na_value=np.nan))
    frame["id"] = frame["id"].where(frame["id"] != "", "c")
    raw = loaded_frame(frame, tmp_path)
    assert raw.ids.tolist() == ["a", "bé", "c"]
    assert raw.vectors.tolist() == VECTORS.tolist()


@pytest.mark.parametrize(
    ("frame", "names", "found"),
    [
        (pd.DataFrame(VECTORS), (), "no column 'sample_id', only '0', '1'"),
        (
            pd.DataFrame(VECTORS, index=pd.Index(IDS, name="sample_idx")),
            (),
            r"only '0', '1', 'sample_idx \(the index\)'",
        ),
        (
            pd.DataFrame({"a": [1, 2, 3], "b": [1.0, 2.0, 3.0]}, index=NAMED),
            (),
            r"columns that are no dimensions \('a'\)",
        ),
        (pd.DataFrame({"v": ["x", "y", "z"]}, index=NAMED), ("v",), "found a str in row 0"),
        (
            pd.DataFrame({"v": [[1.0], [1.0, 2.0], [1.0]]}, index=IDS),
            ("v", "index"),
            "found 2 numbers in row 1 and 1 in row 0",
        ),
        (pd.DataFrame(np.ones((3, 4)), columns=list("abab"), index=NAMED), (), r"more than one column 'a', 'b'"),
        (
            pd.DataFrame({"v": [[1.0], None, np.nan]}, index=NAMED),
            ("v",),
            r"2 of 3 rows are null \(rows 1, 2\)",
        ),
        (
            pd.DataFrame({"v": [[1.0], [1], [1.0]]}, index=IDS),
            ("v", "index"),
            "found a list of 1, the first a int in row 1",
        ),
    ],
)
def test_frames_that_are_refused(tmp_path, frame, names, found):
    with pytest.raises(DataError, match=found):
        loaded_frame(frame, tmp_path, *names)


@pytest.mark.parametrize("index", [pd.RangeIndex(3), pd.Index([2, 0, 5]), pd.Index(["30", "10", "20"])])
def test_labels_that_nobody_named_are_no_ids(tmp_path, index):
    """What is left of row numbers after ``frame.sample`` or ``dropna`` would give products the vectors of others."""
    frame = pd.DataFrame({"embedding": list(VECTORS)}, index=index)
    with pytest.raises(DataError, match=r"no column 'sample_id', only 'embedding'.* has no name, .*'ids: index'"):
        loaded_frame(frame, tmp_path)
    assert loaded_frame(frame, tmp_path, None, "index").ids.astype(str).tolist() == [str(i) for i in index]


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize(
    ("rest", "said"),
    [
        (lambda protocol: pickle.dumps({"embeddings": VECTORS, "sample_ids": [7, 8, 9]}, protocol), None),
        (lambda protocol: b"\0" * 999, "found 999 more bytes after the pickle, .*beginning with zeros"),
        (lambda protocol: b"\n", "found 1 more bytes"),
    ],
)
def test_what_follows_a_pickle_is_never_dropped(tmp_path, rest, said, protocol):
    path = dumped(tmp_path / "a", {"embeddings": VECTORS, "sample_ids": IDS}, protocol)
    with path.open("ab") as file:
        file.write(rest(protocol))
    with path.open("rb") as file, pytest.raises(DataError, match=said or "more bytes after the pickle") as caught:
        safe_load(file, str(path))
    assert ("another pickle" in str(caught.value)) == (said is None and protocol >= 2)


def test_a_temporary_folder_without_room_is_named(tmp_path, monkeypatch, exchange):
    """A limit of file size stands for the full disk: to the child both are an OSError."""
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (100, 100)); import signal; "
    monkeypatch.setattr(process, "_START", code + "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); " + process._START)
    path = dumped(tmp_path / "a", {"embeddings": np.ones((100, 100), np.float32), "sample_ids": list(range(100))})
    with pytest.raises(StorageError) as caught:
        read_pickle(path, USUAL)
    assert f"do not fit in the temporary folder {exchange} (TMPDIR; " in str(caught.value)
    assert "Set TMPDIR" in str(caught.value)
    assert "copy" not in str(caught.value)


def test_a_temporary_folder_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(StorageError, match=r"No such file.*/gone/.*Set TMPDIR"):
        read_pickle(dumped(tmp_path / "a", {}), USUAL)
    (tmp_path / "exchange").mkdir(exist_ok=True)


# --- limits ---


def test_limits_grow_with_the_file():
    assert Limits.of(0) == Limits(2 * 2**30, 30)
    assert Limits.of(2**30).memory == 7 * 2**30
    assert Limits.of(2**30).seconds > 200
    assert Limits.of(2**40, memory_gb=1.5, seconds=2.5) == Limits(3 * 2**29, 3)
    for wrong in ({"memory_gb": 0.1}, {"seconds": 0}, {"seconds": float("nan")}, {"memory_gb": float("inf")}):
        with pytest.raises(ParameterError, match=f"{next(iter(wrong))}: found .*, expected at least"):
            Limits.of(0, **wrong)


def test_memory_is_limited_and_the_limit_is_named(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"\x80\x04\x8e" + (2**30).to_bytes(8, "little"))
    message = refusal(path, memory_gb=0.5)
    assert "more than 0.5 GiB of memory" in message
    assert "set a larger memory_gb" in message


def test_processor_time_is_limited_and_the_limit_is_named(tmp_path):
    path = tmp_path / "a"
    # () is doubled into ((), ()) sixty times, and then hashed.
    path.write_bytes(b"\x80\x04})" + b"2\x86" * 60 + b"Ns.")
    message = refusal(path, seconds=1)
    assert "more than 1 s of processor time (SIGXCPU)" in message
    assert "set a larger seconds" in message


def test_a_crash_is_an_error_that_names_the_signal(tmp_path):
    """Hashing tuples nested half a million deep overruns the stack."""
    path = tmp_path / "a"
    path.write_bytes(b"\x80\x04})" + b"\x85" * 500_000 + b"Ns.")
    assert "crashed the process of its own that did so (SIGSEGV)" in refusal(path)


def test_a_child_that_does_not_end_is_ended(tmp_path, monkeypatch):
    monkeypatch.setattr(process, "_START", "import time; time.sleep(60)")
    monkeypatch.setattr(process, "_CLOCK_FACTOR", 0.3)
    monkeypatch.setattr(process, "_CLOCK_EXTRA", 0)
    assert "took longer than 0.3 s" in refusal(dumped(tmp_path / "a", {}), seconds=1)


@pytest.mark.parametrize(
    ("code", "found"),
    [
        ("raise SystemExit('no such module\\x1b[2J')", "no such module\\\\x1b[2J"),
        ("import os; os.kill(os.getpid(), 9)", "killed (SIGKILL)"),
        ("pass", "left no outcome"),
        ("open('outcome.json', 'w').write('[' * 100000)", "left no outcome"),
        ("open('outcome.json', 'w').write('[1]')", "left no outcome"),
        ("open('outcome.json', 'w').write('{}')", "nulls.npy is no array"),
        ("import os; os.mkfifo('outcome.json')", "left no outcome"),
        (
            "import numpy, pickle; open('outcome.json', 'w').write('{\"ids\": 1}'); pickle.dump([1], open('ids.npy', 'wb'))",
            "ids.npy is no array",
        ),
    ],
)
def test_what_the_child_leaves_is_not_trusted(tmp_path, monkeypatch, code, found):
    monkeypatch.setattr(process, "_START", code)
    message = refusal(dumped(tmp_path / "a", {}))
    assert found.replace("\\\\", "\\") in message
    assert "\x1b" not in message


def test_the_child_sees_no_environment_and_no_module_of_the_working_folder(tmp_path, monkeypatch):
    (tmp_path / "json.py").write_text("raise SystemExit('imported')")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("SECRET", "x")
    path = dumped(tmp_path / "a", {"embeddings": VECTORS, "sample_ids": IDS})
    assert read_pickle(Path("a"), USUAL).ids.tolist() == IDS
    monkeypatch.setattr(process, "_START", "import os, sys; sys.exit(str(sorted(os.environ)))")
    assert "SECRET" not in refusal(path)


# --- nothing is left behind ---


def test_folders_of_dead_processes_are_removed_and_others_stay(exchange):
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    dead = exchange / f"price_fusion_pickle.{ended.pid}.abc"
    alive = exchange / f"price_fusion_pickle.{os.getppid()}.abc"
    other = exchange / "price_fusion_pickle.notes"
    for folder in (dead, alive, other):
        folder.mkdir()
        (folder / "vectors.npy").touch()
    with exchange_folder() as folder:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert not dead.exists()
        assert alive.exists()
        assert other.exists()
    for kept in (alive, other):
        (kept / "vectors.npy").unlink()
        kept.rmdir()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends a child with its parent")
def test_a_killed_parent_takes_its_child_along(tmp_path, exchange):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    code = (
        "import sys, tempfile; from pathlib import Path; tempfile.tempdir = sys.argv[2]; "
        "from price_fusion.data.readers.pickles import process; from price_fusion.data.readers.rows import Asked; Path.is_file = lambda self: True; "
        "process.read_pickle(Path(sys.argv[1]), Asked())"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(fifo), str(exchange)])
    descriptor = os.open(fifo, os.O_WRONLY)  # waits until the child has the file open
    parent.kill()
    assert parent.wait() == -signal.SIGKILL
    previous = signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    try:
        deadline = time.monotonic() + 20
        while _has_a_reader(descriptor) and time.monotonic() < deadline:
            time.sleep(0.02)
        assert not _has_a_reader(descriptor)
    finally:
        os.close(descriptor)
        signal.signal(signal.SIGPIPE, previous)
    assert len(list(exchange.iterdir())) == 1
    with exchange_folder() as folder:
        assert list(exchange.iterdir()) == [folder]


def _has_a_reader(descriptor):
    try:
        os.write(descriptor, b"\x80")
    except BrokenPipeError:
        return False
    return True


def test_several_threads_read_at_once(tmp_path):
    path = dumped(tmp_path / "a", {"embeddings": VECTORS, "sample_ids": IDS})
    found = []
    threads = [threading.Thread(target=lambda: found.append(read_pickle(path, USUAL))) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [raw.ids.tolist() for raw in found] == [IDS] * 3
