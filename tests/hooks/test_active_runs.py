"""Several runs of one process: each is recorded as if it were alone, and one after the other has the data folder."""

from __future__ import annotations

import logging
import multiprocessing
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from kedro.framework.hooks import hook_impl

from price_fusion.compute.interruption import Interruption
from price_fusion.errors import BusyError, DataError, TrackingError
from price_fusion.hooks.active_runs import ActiveRuns, stopping_well
from price_fusion.storage.lock import only_writer, writer_of

Stepped = Callable[..., Any]


def test_runs_of_two_folders_whose_hooks_are_called_in_turns(
    stepped: Stepped, caplog: pytest.LogCaptureFixture
) -> None:
    one, other = stepped("3", data="one"), stepped("5", data="other")
    with caplog.at_level(logging.INFO, "price_fusion"):
        one.begin()
        other.begin()
        one.load()
        other.load()
        other.compute()
        one.compute()
        other.fail(DataError("a file is wrong"))
        one.end()
    (first,), (second,) = one.records, other.records
    assert (first["status"], first["metrics"]["moe"]["metrics"]["rows"], first["parameters"]["seed"]) == (
        "finished",
        3,
        "3",
    )
    assert (second["status"], second["metrics"]["moe"]["metrics"]["rows"]) == ("failed", 5)
    assert second["error"] == {"class": "DataError", "message": "a file is wrong"}
    assert list(first["nodes"]) == list(second["nodes"]) == ["moe.evaluate"]
    assert [words.partition(":")[0] for words in caplog.messages] == ["1/1 moe.evaluate"] * 2
    assert not list(one.data.rglob("*.jsonl"))


def test_runs_of_one_folder_wait_in_line(stepped: Stepped) -> None:
    line = [stepped(name) for name in "234"]
    line[0].begin()
    waiting = [one.begin(wait=False) for one in line[1:]]
    assert not any(one.is_begun for one in line[1:])
    line[0].compute()
    line[0].end()
    while not any(one.is_begun for one in line[1:]):
        pass
    next_one = next(one for one in line[1:] if one.is_begun)
    (last,) = (one for one in line[1:] if one is not next_one)
    assert not last.is_begun
    next_one.fail(ValueError("no"))
    for one in waiting:
        one.result(timeout=20)
    last.compute()
    last.end()
    statuses = {record["run_id"]: record["status"] for record in last.records}
    assert statuses == {"2": "finished", next_one.params["run_id"]: "failed", last.params["run_id"]: "finished"}


def test_a_second_run_with_the_same_id_is_another_run(stepped: Stepped) -> None:
    one, other = stepped("2"), stepped("2")  # Kedro's ids are milliseconds
    one.begin()
    begun = other.begin(wait=False)
    one.end()
    begun.result(timeout=20)
    other.compute()
    other.end()
    assert sorted(len(record["nodes"]) for record in one.records) == [0, 1]


def test_a_run_that_another_hook_refuses_has_failed_and_holds_nothing(stepped: Stepped) -> None:
    class Refusing:
        @hook_impl
        def before_pipeline_run(self) -> None:
            raise TrackingError("no store")

    refused = stepped("2", Refusing())
    with pytest.raises(TrackingError, match="no store"):
        refused.begin()
    assert refused.records[0]["error"]["class"] == "TrackingError"
    stepped("3").begin()


def test_the_error_that_another_hook_makes_of_it_is_recorded(stepped: Stepped) -> None:
    class Explaining:
        @hook_impl(trylast=True)
        def on_pipeline_error(self, error: Exception) -> None:
            raise DataError("two files are wrong") from error

    one = stepped("2", Explaining())
    one.begin()
    with pytest.raises(DataError):
        one.fail(DataError("a file is wrong"))
    assert one.records[0]["error"]["message"] == "two files are wrong"
    assert writer_of(one.data) is None


def test_a_run_that_its_thread_left_is_interrupted_by_the_next(stepped: Stepped) -> None:
    left, next_one = stepped("2"), stepped("3")
    left.begin()
    left.begin()  # of a notebook whose cell was interrupted
    assert sorted(record["status"] for record in left.records) == ["interrupted", "running"]
    left.forget()
    next_one.begin()
    assert sorted(record["status"] for record in left.records) == ["interrupted", "interrupted", "running"]


def test_at_the_end_of_the_process_what_has_not_ended_is_interrupted(stepped: Stepped, runs: ActiveRuns) -> None:
    one = stepped("4")
    one.begin()
    one.compute()
    runs._at_exit()
    (record,) = one.records
    assert (record["status"], list(record["nodes"])) == ("interrupted", ["moe.evaluate"])


def test_another_writer_is_refused_and_leaves_no_record(stepped: Stepped, tmp_path: Path) -> None:
    one = stepped("2")
    one.begin()
    one.end()
    with only_writer(tmp_path / "data"):
        pass
    from filelock import FileLock

    with FileLock(tmp_path / "data/.run.lock"), pytest.raises(BusyError, match="another process is writing here"):
        stepped("3").begin()
    assert len(one.records) == 1


def test_what_was_done_before_an_error_is_counted_in_the_advice(stepped: Stepped) -> None:
    one = stepped("2")
    one.begin()
    one.compute()
    error = DataError("a file is wrong")
    one.fail(error)
    assert error.__notes__ == [
        "What the 1 node(s) before it saved is kept. Once this is fixed, go on with:\nthe same run, with only_missing_outputs"
    ]


@pytest.mark.parametrize("workers", [True, False])
def test_a_parallel_run_that_is_told_to_stop_leaves_no_process_that_writes_on(
    workers: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    spawn = multiprocessing.get_context("spawn")
    node, memory = (spawn.Process(target=time.sleep, args=(60,), name=name) for name in ("Process-1", "SomeManager-1"))
    node.start()
    memory.start()
    try:
        with stopping_well(workers=workers), pytest.raises(Interruption):
            signal.raise_signal(signal.SIGTERM)
        node.join(timeout=20 if workers else 0)
        assert (node.exitcode, memory.exitcode) == (-signal.SIGKILL if workers else None, None)
    finally:
        for process in (node, memory):
            process.kill()
            process.join()
    assert "SIGTERM: stopped; no file is half-written" in capfd.readouterr().err
