"""One writer a folder, and a second one is told who the first is."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from price_fusion.errors import BusyError, StorageError
from price_fusion.storage.lock import only_writer, writer_of

HOLD = (
    "import pathlib, sys, time; from price_fusion.storage.lock import only_writer\n"
    "with only_writer(pathlib.Path(sys.argv[1])):\n"
    "    print('held', flush=True); time.sleep(60)"
)


def test_a_second_process_is_told_of_the_first_until_that_is_gone(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(folder)], stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    try:
        assert first.stdout.readline() == "held\n"
        with pytest.raises(BusyError, match=rf"data: process {first.pid} on .*, started 20\d\d-.*is writing here"):
            enter(folder)
    finally:
        first.kill()
        first.wait()
        first.stdout.close()
    enter(folder)  # a killed holder holds nothing


def test_one_run_after_the_other(tmp_path: Path) -> None:
    for _ in range(2):
        enter(tmp_path)
    assert not (tmp_path / ".run.json").exists()


def test_one_thread_cannot_hold_a_folder_twice(tmp_path: Path) -> None:
    with only_writer(tmp_path), pytest.raises(BusyError, match=rf"process {os.getpid()} on \S+, started"):
        enter(tmp_path)


def test_threads_of_one_process_wait_in_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    inside, most = [], []

    def write(number: int) -> None:
        with only_writer(tmp_path, str(number)):
            inside.append(number)
            most.append(len(inside))
            assert writer_of(tmp_path) == str(number)
            inside.remove(number)

    with caplog.at_level(logging.INFO, "price_fusion"), ThreadPoolExecutor(4) as pool:
        with only_writer(tmp_path):
            done = [pool.submit(write, number) for number in range(4)]
            while len(caplog.messages) < 4:
                time.sleep(0.01)
        for one in done:
            one.result(timeout=20)
    assert most == [1, 1, 1, 1]
    assert caplog.messages[0] == f"waiting for the run that writes into {tmp_path}"


def test_who_writes_is_asked_without_getting_in_the_way(tmp_path: Path) -> None:
    assert writer_of(tmp_path) is None
    with only_writer(tmp_path, "one"):
        assert writer_of(tmp_path) == "one"
        (tmp_path / ".run.json").unlink()
        assert writer_of(tmp_path) == ""
    assert writer_of(tmp_path) is None


def test_a_holder_that_was_killed_writes_no_more(tmp_path: Path) -> None:
    with only_writer(tmp_path, "one"):
        left = (tmp_path / ".run.json").read_text()
    (tmp_path / ".run.json").write_text(left)
    assert writer_of(tmp_path) is None


@pytest.mark.parametrize("holder", ["", "{", "[]", '{"process": 1}'])
def test_a_holder_that_said_nothing_sensible_is_another_process(tmp_path: Path, holder: str) -> None:
    with only_writer(tmp_path):
        (tmp_path / ".run.json").write_text(holder)
        with pytest.raises(BusyError, match="another process is writing here"):
            enter(tmp_path)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(StorageError, match="file/data: could not be written"):
        enter(tmp_path / "file" / "data")


def enter(folder: Path) -> None:
    with only_writer(folder):
        pass
