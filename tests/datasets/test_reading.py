"""Tests of cnn/datasets/reading.py and parallel.py: a folder becomes splits, whatever reads it and however."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn.datasets import parallel, reading, splits
from cnn.process import machine
from cnn.process.errors import InputError
from cnn.storage.arrays import SPLITS, open_split
from tests import tiny


def picture(seed, size=(8, 6)):
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8))


def fill(root, per_class, classes=("ant", "bee"), seed=0):
    """Different pictures of noise, so many of each class."""
    for number, name in enumerate(classes):
        (root / name).mkdir(parents=True)
        for index in range(per_class):
            picture((seed, number, index)).save(root / name / f"{index:04}.png")
    return root


@pytest.fixture
def write(tmp_path):
    """A function: write the splits of the folder `pets`, and return the summary."""

    def start(height=8, width=6, channels=3, **changes):
        about = {"name": "pets", "title": "Pets", "format": "folder", "path": str(tmp_path / "pets"), "classes": None}
        (tmp_path / "raw").mkdir(exist_ok=True)
        (tmp_path / "raw/dataset.json").write_text(json.dumps(about))
        options = tiny.preprocess_options(height, width, channels, **changes)
        return splits.write(options, tmp_path / "raw", tmp_path / "processed")

    return start


def test_pictures_become_splits_in_the_order_of_their_paths(tmp_path, write):
    fill(tmp_path / "pets", 20)
    summary = write(validation_fraction=0.25, test_fraction=0.2)
    assert [summary[split]["per_class"] for split in SPLITS] == [[12, 12], [4, 4], [4, 4]]
    assert (summary["dataset"], summary["shape"], summary["classes"]) == ("pets", [8, 6, 3], ["ant", "bee"])
    assert set(summary) == {"dataset", "shape", "fit", "classes", *SPLITS, "duplicates_across"}, (
        "and nothing that is odd"
    )
    everything = [np.asarray(picture((0, label, index))).tobytes() for label in (0, 1) for index in range(20)]
    rows = {name: [image.tobytes() for image in open_split(name, tmp_path / "processed")[0]] for name in SPLITS}
    assert sorted(sum(rows.values(), [])) == sorted(everything)
    order = [everything.index(row) for row in rows["train"]]
    assert order == sorted(order)
    labels = open_split("train", tmp_path / "processed")[1]
    assert labels.tolist() == [index // 20 for index in order]


def test_a_test_set_of_its_own_is_kept_and_validation_too(tmp_path, write):
    fill(tmp_path / "pets/train", 20)
    fill(tmp_path / "pets/test", 3, seed=1)
    summary = write(validation_fraction=0.25)
    assert [summary[split]["images"] for split in SPLITS] == [30, 10, 6]
    fill(tmp_path / "pets/validation", 2, seed=2)
    summary = write(validation_fraction=0.25)
    assert [summary[split]["images"] for split in SPLITS] == [40, 4, 6]
    images, _ = open_split("validation", tmp_path / "processed")
    np.testing.assert_array_equal(images[0], np.asarray(picture((2, 0, 0))))


def test_validation_alone_is_kept_and_a_test_set_is_cut(tmp_path, write):
    fill(tmp_path / "pets/train", 20)
    fill(tmp_path / "pets/validation", 2, seed=2)
    assert [write(test_fraction=0.2)[split]["images"] for split in SPLITS] == [32, 4, 8]


def test_the_number_of_processes_and_the_size_of_chunks_change_nothing(tmp_path, write, state, monkeypatch):
    fill(tmp_path / "pets", 40)
    made = []
    for threads, chunk in ((1, 64), (3, 7), (2, 1)):
        monkeypatch.setattr(machine, "threads", lambda count=threads: count)
        monkeypatch.setattr(reading, "CHUNK", chunk)
        write(7, 9)
        made.append(state(tmp_path / "processed"))
    assert made[0] == made[1] == made[2]


# -- pictures that cannot be read --


def break_some(root, *names):
    for name in names:
        (root / name).write_bytes(b"")


def test_all_unreadable_pictures_are_listed_and_nothing_is_written(tmp_path, write, state):
    root = fill(tmp_path / "pets", 30)
    break_some(root, *(f"ant/{index:04}.png" for index in range(25)))
    with pytest.raises(InputError) as error:
        write()
    title, *lines, mend = str(error.value).splitlines()
    assert "a share of 0.0 (preprocess.unreadable_share). Received: 25 of 60 that cannot:" in title
    assert lines[0] == "  'ant/0000.png': the file is empty"
    assert (len(lines), lines[-1]) == (21, "  … and 5 more")
    assert mend == "To go on: mend or remove them, or raise that share."
    assert state(tmp_path / "processed") == {}


def test_a_share_of_unreadable_pictures_is_left_out_named_and_counted(tmp_path, write, capsys):
    root = fill(tmp_path / "pets", 20)
    break_some(root, "ant/0003.png", "bee/0019.png")
    summary = write(unreadable_share=0.05, validation_fraction=0)
    assert summary["unreadable"] == 2
    assert summary["train"]["images"] + summary["test"]["images"] == 38
    said = capsys.readouterr().out
    assert "2 of 40 pictures cannot be read, and are left out:\n  'ant/0003.png': the file is empty\n" in said
    with pytest.raises(InputError):
        write(unreadable_share=0.049)


def test_a_class_of_which_nothing_can_be_read_is_named(tmp_path, write):
    root = fill(tmp_path / "pets", 4)
    break_some(root, *(f"ant/{index:04}.png" for index in range(4)))
    with pytest.raises(InputError, match="expected images of every class. Received: none of ant"):
        write(unreadable_share=0.9)


def test_what_is_ignored_is_said(tmp_path, write, capsys):
    root = fill(tmp_path / "pets", 4)
    for name in ("notes.txt", ".DS_Store", "ant/Thumbs.db"):
        (root / name).touch()
    write(validation_fraction=0, test_fraction=0.5)
    assert "3 files ignored: 1 .txt, 1 Thumbs.db, 1 hidden" in capsys.readouterr().out


# -- equal pictures --


def test_equal_pictures_go_to_one_split(tmp_path, write):
    root = fill(tmp_path / "pets", 20)
    for index in range(10):  # each of these five times, once under another format
        for copy in range(3):
            picture((0, 0, index)).save(root / f"ant/{index}-copy-{copy}.png")
        picture((0, 0, index)).save(root / f"ant/{index}-copy.bmp")
    for seed in range(3):
        summary = write(seed=seed, validation_fraction=0.3, test_fraction=0.3)
        assert summary["duplicates_across"] == {"train-validation": 0, "train-test": 0, "validation-test": 0}
        assert sum(summary[split]["duplicates"] for split in SPLITS) == 40
        assert sum(summary[split]["images"] for split in SPLITS) == 80


def test_a_class_of_too_few_different_pictures_is_named(tmp_path, write):
    root = fill(tmp_path / "pets", 5)
    for index in range(5):
        picture(9).save(root / f"bee/{index:04}.png")
    with pytest.raises(InputError) as error:
        write(test_fraction=0.4)
    assert str(error.value) == (
        "preprocess.test_fraction: expected at least 2 different images of each class to split. Received: 1 of 'bee'."
    )


def test_a_class_of_which_none_would_be_tested_is_named(tmp_path, write, state):
    fill(tmp_path / "pets", 60, classes=("bee", "cat"))
    fill(tmp_path / "pets", 3, classes=("ant",))
    with pytest.raises(InputError) as error:
        write(test_fraction=0.1)
    assert str(error.value) == (
        "preprocess.test_fraction: expected enough images of each class for a share of 0.1 and for the rest. "
        "Received: 3 different ones of 'ant', so none for this share."
    )
    assert state(tmp_path / "processed") == {}


def test_training_pictures_that_are_test_pictures_are_refused_or_dropped(tmp_path, write, state):
    fill(tmp_path / "pets/train", 20)
    fill(tmp_path / "pets/test", 5, seed=1)
    for index in range(3):
        picture((1, 0, index)).save(tmp_path / f"pets/train/bee/again-{index}.png")
    with pytest.raises(InputError, match=r"of the test set among those trained or tuned on. Received: 3\."):
        write()
    assert state(tmp_path / "processed") == {}
    summary = write(duplicates="drop")
    assert (summary["dropped"], summary["test"]["images"]) == (3, 10)
    assert summary["train"]["images"] + summary["validation"]["images"] == 40
    assert summary["duplicates_across"]["train-test"] == 0


def test_validation_gives_way_to_test_and_train_to_both(tmp_path, write):
    for seed, part in enumerate(SPLITS):
        fill(tmp_path / "pets" / part, 5, seed=seed)
    for part in ("train", "validation"):
        picture((2, 0, 0)).save(tmp_path / f"pets/{part}/ant/of-test.png")
    picture((1, 0, 0)).save(tmp_path / "pets/train/ant/of-validation.png")
    summary = write(duplicates="drop")
    assert summary["dropped"] == 3
    assert [summary[split]["images"] for split in SPLITS] == [10, 10, 10]


def test_a_validation_picture_that_is_trained_on_is_refused(tmp_path, write):
    fill(tmp_path / "pets/train", 5)
    fill(tmp_path / "pets/validation", 5, seed=1)
    picture((1, 0, 0)).save(tmp_path / "pets/train/ant/again.png")
    with pytest.raises(InputError, match="of the validation set among those trained on. Received: 1"):
        write()


def test_labels_that_contradict_are_counted(tmp_path, write):
    root = fill(tmp_path / "pets", 20)
    picture((0, 0, 0)).save(root / "bee/really-an-ant.png")
    picture((0, 0, 0)).save(root / "bee/really-an-ant-2.png")
    assert write()["contradictory"] == 3


# -- processes --


def test_a_killed_process_is_one_clear_line(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "threads", lambda: 2)
    with pytest.raises(InputError, match="Received: the end of one, killed or out of memory"):
        list(parallel.in_chunks(kill_self, [1, 2, 3, 4], 1, "test"))


def kill_self(_):
    os.kill(os.getpid(), signal.SIGKILL)


def test_a_process_that_is_killed_while_it_hands_over_is_one_clear_line(monkeypatch, tmp_path):
    """A pool would wait for the rest of the result, and neither Ctrl-C nor SIGTERM would end it."""
    monkeypatch.setattr(machine, "threads", lambda: 2)
    with pytest.raises(InputError, match="Received: the end of one, killed or out of memory"):
        list(parallel.in_chunks(late_or_cut_off, [(number, tmp_path / "pid") for number in range(4)], 1, "test"))
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("moment", [0.0, 0.1, 0.3])
def test_a_process_that_is_killed_before_it_has_its_work_is_one_clear_line(monkeypatch, moment):
    """More work than a pipe holds: whoever writes it would wait forever."""
    monkeypatch.setattr(machine, "threads", lambda: 2)
    start = multiprocessing.process.BaseProcess.start

    def started(process):
        start(process)
        threading.Timer(moment, process.kill).start()  # nothing where it has ended

    monkeypatch.setattr(multiprocessing.process.BaseProcess, "start", started)
    with pytest.raises(InputError, match="Received: the end of one, killed or out of memory"):
        list(parallel.in_chunks(slow, [bytes(1_000_000)] * 8, 1, "test"))


def slow(items):
    time.sleep(0.2)


def test_an_error_of_our_own_while_results_are_under_way_ends_the_program():
    code = """
from cnn.datasets import parallel
from cnn.process import machine
from tests.datasets.test_reading import large
machine.threads = lambda: 2
results = parallel.in_chunks(large, list(range(9)), 1, "test")
next(results)
1 / 0
"""
    done = tiny.fresh_python(code)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "ZeroDivisionError: division by zero"


def large(items):
    return bytes(1_000_000)


def test_a_result_that_cannot_be_handed_over_says_why(monkeypatch):
    monkeypatch.setattr(machine, "threads", lambda: 2)
    with pytest.raises(Exception, match="(?i)pickle"):
        list(parallel.in_chunks(no_result, [1, 2], 1, "test"))


def no_result(items):
    return lambda: items


def late_or_cut_off(items):
    """The first process waits until the second has been killed, while its result was half in the pipe."""
    (number, path), *_ = items
    if number == 0:
        while not path.exists() or alive(int(path.read_text() or os.getpid())):
            time.sleep(0.05)
    elif number == 1:
        path.write_text(str(os.getpid()))
        threading.Timer(0.5, kill_self, [items]).start()
        return bytes(10_000_000)
    return b""


def test_an_error_of_our_own_in_a_process_stays_what_it_is_and_says_where(monkeypatch):
    monkeypatch.setattr(machine, "threads", lambda: 2)
    with pytest.raises(ZeroDivisionError) as failed:
        list(parallel.in_chunks(divide, [1, 0, 2], 1, "test"))
    assert "in divide" in failed.value.__notes__[0]


def divide(items):
    return 1 / items[0]


def test_results_come_in_order(monkeypatch):
    monkeypatch.setattr(machine, "threads", lambda: 2)
    assert list(parallel.in_chunks(late_if_first, list(range(9)), 2, "test")) == [(0, 1), (2, 3), (4, 5), (6, 7), (8,)]


def late_if_first(items):
    time.sleep(0.3 * (items[0] == 0))
    return tuple(items)


def test_a_process_reads_one_large_result_ahead_and_no_more(monkeypatch, tmp_path):
    """However slowly they are taken: memory is held for few."""
    monkeypatch.setattr(machine, "threads", lambda: 2)
    results = parallel.in_chunks(touched, [tmp_path / str(number) for number in range(9)], 1, "test")
    next(results)
    time.sleep(1)
    assert {path.name for path in tmp_path.iterdir()} <= {"0", "1", "2"}
    assert len(list(results)) == 8


def touched(paths):
    paths[0].touch()
    return bytes(10**6)


PROGRAM = """
import os, sys, time
from cnn.datasets import parallel
from cnn.process import machine
machine.threads = lambda: 2

def wait(_):
    print(os.getpid(), flush=True)
    time.sleep(60)

if __name__ == "__main__":
    list(parallel.in_chunks(wait, [1, 2], 1, "test"))
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_processes_end_with_the_one_that_started_them(tmp_path, number):
    (tmp_path / "program.py").write_text(PROGRAM)
    program = subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, env=tiny.environment(), stdout=subprocess.PIPE, text=True,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    with program:
        pids = [int(program.stdout.readline()) for _ in range(2)]
        program.send_signal(number)
        deadline = time.monotonic() + 20
        while any(alive(pid) for pid in pids):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def alive(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False
