"""Workers: real processes that train one network over loopback give the bits of one, and end when one is lost."""

import hashlib
import json
import shutil
import signal
import socket
import subprocess
import sys
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import yaml

from checks import distributed
from checks.clone import CannotRunError
from cnn.training import joining
from cnn.training.sampling import Sampler
from tests import tiny

pytestmark = pytest.mark.slow  # each process imports TensorFlow
KINDS = """
    {
        "lesson": {
            "model": {"blocks": tiny.three_blocks(), "dense_units": 8},
            "augment": {"shift": 1.5},
            "optimizer": "adam",
        },
        "rich": {
            "model": {"batch_norm": True, "dropout": 0.3, "dense_units": 8},
            "augment": {"shift": 1, "rotate": 10},
            "batch_size": 30,
            "epoch_share": 0.5,
        },
    }
"""
TRAINS_BOTH = f"""
from cnn.network import runtime
from cnn.process import cluster
machines = cluster.read()
runtime.prepare("portable")
from cnn.training import joining
team = joining.join(machines, 4)
from tests import tiny
from tests.training import small
for options in {KINDS.strip()}.values():
    print(small.bits(small.trained(**options, workers=team)))
"""
# Prints which images it reads for training.
READS = """
from cnn.network import runtime
from cnn.process import cluster
machines = cluster.read()
runtime.prepare("portable")
from cnn.storage import arrays
from cnn.training import joining
from tests.training import small
team = joining.join(machines, 4)
take = arrays.take
def told(array, rows):
    if array is small.IMAGES:
        print("read", *rows)
    return take(array, rows)
arrays.take = told
small.trained(batch_size=30, workers=team)
"""
# The stage, whose process gets a signal after so many pieces of training, and which waits seconds for the others.
STAGE = """
import os, runpy, signal, sys
from cnn.network import runtime
prepare = runtime.prepare
def prepared(determinism):
    prepare(determinism)
    from cnn.training import joining, loop, step
    loop.CHUNK, joining.ARRIVAL = 32, float(sys.argv[2])
    run, left = step.Step.run, iter(range(int(sys.argv[1])))
    def counted(*arguments):
        if next(left, None) is None:
            os.kill(os.getpid(), int(sys.argv[3]))
        return run(*arguments)
    step.Step.run = counted
runtime.prepare = prepared
runpy.run_module("stages.train", run_name="__main__")
"""
NEVER = "1000"
# The chief of three, which prints each who has come and is still there.
MEETS = """
from cnn.process import cluster
from cnn.training import joining
arrived = joining._arrived
def told(*arguments):
    here = arrived(*arguments)
    print(*here, flush=True)
    return here
joining._arrived = told
joining._meet(cluster.read())
"""
# The chief, for whom the others have this long between being there and being TensorFlow's.
CONNECTS = """
from cnn.network import runtime
from cnn.process import cluster
machines = cluster.read()
runtime.prepare("portable")
from cnn.training import joining
joining.HANDSHAKE = 3
joining.join(machines, 4)
"""


def over_ipv6(tasks):
    """The same over IPv6's loopback, where this machine has one."""
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        return tasks
    return [task.replace("127.0.0.1", "[::1]") for task in tasks]


def comes(chief, task, number):
    """Connect to the chief, as soon as it listens, as the worker of this number."""
    host, port = json.loads(task)["cluster"]["worker"][0].split(":")
    while chief.poll() is None:
        try:
            line = socket.create_connection((host, int(port)), 10)
        except ConnectionRefusedError:  # it imports TensorFlow
            time.sleep(0.2)
        else:
            line.sendall(number.encode())
            return line
    raise AssertionError(chief.communicate())


@pytest.fixture
def start():
    """A function: start Python with this code. What is left at the end of the test is killed."""
    processes = []

    def start_one(code, *arguments, cwd=tiny.ROOT, tf_config=""):
        processes.append(
            subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(code), *arguments],
                cwd=cwd,
                env=tiny.environment(TF_CONFIG=tf_config),
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return processes[-1]

    yield start_one
    for process in processes:
        process.kill()
        process.communicate()


def test_one_two_and_four_workers_give_the_same_bits(start):
    seen = set()
    for tasks in (distributed.tasks(1), over_ipv6(distributed.tasks(2)), distributed.tasks(4)):
        members = [start(TRAINS_BOTH, tf_config=one) for one in tasks]
        for member in members:
            output, errors = member.communicate(timeout=300)
            assert member.returncode == 0, errors
            seen.add(tuple(line for line in output.splitlines() if len(line) == 64))
    assert len(seen) == 1
    assert len(set(*seen)) == 2, "two networks"


def test_each_worker_reads_its_own_part_of_each_batch_alone(start):
    members = [start(READS, tf_config=one) for one in distributed.tasks(2)]
    read = []
    for member in members:
        output, errors = member.communicate(timeout=300)
        assert member.returncode == 0, errors
        lines = [line.split()[1:] for line in output.splitlines() if line.startswith("read ")]
        read.append([list(map(int, line)) for line in lines])
    options = tiny.train_options(seed=1, batch_size=30)
    for epoch in range(options.epochs):
        batches = Sampler(options, 150).epoch(epoch)[0]
        assert read[0][epoch] == batches[:, :15].ravel().tolist()
        assert read[1][epoch] == batches[:, 15:].ravel().tolist()
    assert [len(rows) for rows in read] == [options.epochs] * 2


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A folder that the stage can train in: two steps a piece, four steps an epoch, three epochs."""
    folder = tmp_path_factory.mktemp("project")
    processed = folder / "data/processed"
    processed.mkdir(parents=True)
    shutil.copy(tiny.ROOT / "data/sources.yaml", folder / "data")
    for seed, (split, count) in enumerate({"train": 72, "validation": 30}.items()):
        for kind, array in zip(("images", "labels"), tiny.bars(count, seed), strict=True):
            np.save(processed / f"{split}_{kind}.npy", array)
    about = {"dataset": "bars", "classes": ["lying", "standing", "leaning"], "fit": "pad"}
    (processed / "summary.json").write_text(json.dumps(about))
    document = tiny.LESSON | {
        "model": tiny.model_options(batch_norm=True, dropout=0.3).model_dump(),
        "train": tiny.train_options(batch_size=16, epochs=3, checkpoint_seconds=1e-9).model_dump(),
    }
    (folder / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    return folder


def outputs(folder):
    return [
        hashlib.md5((folder / path).read_bytes()).hexdigest()
        for path in ("data/model/model.keras", "metrics/history.csv")
    ]


@pytest.fixture(scope="module")
def alone(project, tmp_path_factory):
    """What one process makes of the project."""
    folder = tmp_path_factory.mktemp("alone") / "project"
    shutil.copytree(project, folder)
    done = tiny.fresh_python(STAGE, NEVER, "1", cwd=folder)
    assert done.returncode == 0, done.stderr
    return outputs(folder)


@pytest.mark.parametrize(
    ("victim", "pieces", "number", "code"),
    [
        (1, 0, signal.SIGKILL, -signal.SIGKILL),
        (0, 3, signal.SIGTERM, 143),
        (0, 3, signal.SIGKILL, -signal.SIGKILL),
        (1, 5, signal.SIGKILL, -signal.SIGKILL),
    ],
    ids=["worker, first step", "chief, middle, by SIGTERM", "chief, middle", "worker, last epoch"],
)
def test_where_one_is_killed_the_other_ends_with_one_line_and_the_next_run_goes_on(
    tmp_path, start, project, alone, victim, pieces, number, code
):
    """It goes on with one worker: how many there are is no part of the result."""
    folder = tmp_path / "project"
    shutil.copytree(project, folder)
    tasks = distributed.tasks(2)
    members = [
        start(STAGE, str(pieces) if index == victim else NEVER, "200", str(int(number)), cwd=folder, tf_config=task)
        for index, task in enumerate(tasks)
    ]
    outcomes = [member.communicate(timeout=200) for member in members]
    assert members[victim].returncode == code, outcomes
    _, errors = outcomes[1 - victim]
    assert members[1 - victim].returncode == 1, errors
    lost = json.loads(tasks[0])["cluster"]["worker"][victim]
    assert errors == (
        f"train: expected 2 workers to the end. Received: no answer from {lost}. To go on: start all of them again; "
        "training goes on from the chief's last checkpoint.\n"
    )
    assert not (folder / "data/model").exists()
    done = tiny.fresh_python(STAGE, NEVER, "1", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert ("train: going on from step" in done.stdout) == (pieces > 0)
    assert outputs(folder) == alone


def test_going_on_with_two_from_the_chiefs_checkpoint(tmp_path, start, project, alone):
    """The worker, in a folder of its own, has none; and it writes nothing."""
    folders = [tmp_path / "chief", tmp_path / "worker"]
    for folder in folders:
        shutil.copytree(project, folder)
    killed = tiny.fresh_python(STAGE, "3", "1", str(int(signal.SIGKILL)), cwd=folders[0])
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    members = [
        start(STAGE, NEVER, "200", cwd=folder, tf_config=task)
        for folder, task in zip(folders, distributed.tasks(2), strict=True)
    ]
    for member in members:
        output, errors = member.communicate(timeout=200)
        assert (member.returncode, errors) == (0, "")
        assert "train: going on from step" in output
    assert outputs(folders[0]) == alone
    written = {path for path in folders[1].rglob("*") if path.is_file()}
    before = {folders[1] / path.relative_to(project) for path in project.rglob("*") if path.is_file()}
    assert {path.name for path in written - before} == {"train-worker-1.lock"}


def test_all_are_there_at_one_moment_also_where_one_came_and_went(start):
    """Else TensorFlow would wait for it without an end, and hear no signal."""
    tasks = distributed.tasks(3)
    chief = start(MEETS, tf_config=tasks[0])

    def said():
        return next(line.strip() for line in chief.stdout if line.strip())

    one = comes(chief, tasks[0], "1")
    assert said() == "1"
    one.close()
    with comes(chief, tasks[0], "2") as two, comes(chief, tasks[0], "3"), comes(chief, tasks[0], "nonsense"):
        assert said() == "2"
        with pytest.raises(subprocess.TimeoutExpired):
            chief.wait(3)
        with comes(chief, tasks[0], "1") as again:
            assert (two.recv(9), again.recv(9)) == (b"!", b"!")
    assert chief.wait(10) == 0


def test_a_worker_that_comes_when_training_has_begun_waits_for_the_next_start():
    """TensorFlow's server, at the same address, speaks first."""
    with socket.create_server(("127.0.0.1", 0)) as server, ThreadPoolExecutor(1) as threads:
        called = threads.submit(joining._called, server.getsockname(), 1, time.monotonic() + 10)
        line, _ = server.accept()
        with line:
            line.sendall(b"\0\0\6\4")
            assert not called.result(10)


def test_a_worker_that_never_comes_is_named(start, project):
    tasks = distributed.tasks(2)
    chief = start(STAGE, NEVER, "3", cwd=project, tf_config=tasks[0])
    _, errors = chief.communicate(timeout=100)
    missing = json.loads(tasks[0])["cluster"]["worker"][1]
    assert (chief.returncode, errors) == (
        1,
        f"train: TF_CONFIG: expected its 2 workers within 3 s. Received: no answer from {missing}. To go on: start all "
        "of them again; training goes on from the chief's last checkpoint.\n",
    )


def test_the_chief_ends_where_a_worker_is_lost_between_being_there_and_being_connected(start):
    """TensorFlow would wait for it without an end, and let no signal through."""
    tasks = distributed.tasks(2)
    chief = start(CONNECTS, tf_config=tasks[0])
    with comes(chief, tasks[0], "1") as line:
        assert line.recv(9) == b"!"
    _, errors = chief.communicate(timeout=60)
    assert (chief.returncode, errors) == (
        -signal.SIGKILL,
        "train: TF_CONFIG: expected to meet its 2 workers. Received: one lost meanwhile. To go on: start all of them "
        "again; training goes on from the chief's last checkpoint.\n",
    )


def test_more_workers_than_shards_are_refused(start, project):
    refused = start(STAGE, NEVER, "3", cwd=project, tf_config=distributed.tasks(5)[4])
    _, errors = refused.communicate(timeout=100)
    assert (refused.returncode, errors) == (
        1,
        "train: TF_CONFIG: expected at most 4 workers, a shard of each batch for each. Received: 5. Start fewer, or "
        "raise train.shards and train.batch_size.\n",
    )


@pytest.mark.parametrize("other", ["parameters", "images", "the first images alone"])
def test_who_has_other_parameters_or_other_images_than_the_chief_is_named(tmp_path, start, project, other):
    folders = [tmp_path / "chief", tmp_path / "worker"]
    for folder in folders:
        shutil.copytree(project, folder)
    if other == "parameters":
        document = yaml.safe_load((project / "params.yaml").read_text())
        document["train"]["learning_rate"] = 0.02
        (folders[1] / "params.yaml").write_text(yaml.safe_dump(document, sort_keys=False))
    elif other == "the first images alone":
        path = folders[1] / "data/processed/train_images.npy"
        np.save(path, np.load(path)[:, :, ::-1])
    else:
        summary = folders[1] / "data/processed/summary.json"
        summary.write_text(json.dumps(json.loads(summary.read_text()) | {"train": {"mean": 33.3}}))
    tasks = distributed.tasks(2)
    members = [
        start(STAGE, NEVER, "200", cwd=folder, tf_config=task) for folder, task in zip(folders, tasks, strict=True)
    ]
    chief, worker = json.loads(tasks[0])["cluster"]["worker"]
    for member in members:
        _, errors = member.communicate(timeout=200)
        assert (member.returncode, errors) == (
            1,
            f"train: expected the data, parameters, code and versions of the chief, {chief}, everywhere. Received: "
            f"others at {worker}. Bring all to the same commit, and run again.\n",
        )


def test_make_distributed_refuses_more_workers_than_shards_before_it_trains(monkeypatch, capsys, project):
    monkeypatch.chdir(project)
    monkeypatch.setattr(sys, "argv", ["distributed", "--workers", "5"])
    assert distributed.main() == 2
    assert capsys.readouterr() == (
        "",
        "distributed: --workers: expected at most 4, a shard of each batch for each. Received: 5. Take fewer, or raise "
        "train.shards and train.batch_size.\n",
    )


def test_make_distributed_cannot_run_with_faulty_parameters(tmp_path, monkeypatch, capsys, project):
    """Its exit code is not that of other bits."""
    folder = tmp_path / "project"
    shutil.copytree(project, folder)
    (folder / "params.yaml").write_text("train: 3\n")
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "argv", ["distributed"])
    assert distributed.main() == 2
    assert capsys.readouterr().err.startswith("distributed: params.yaml is not valid (")


def test_what_all_workers_say_make_distributed_says_once(tmp_path, monkeypatch, project):
    folder = tmp_path / "project"
    shutil.copytree(project, folder)
    for name in ("cnn", "stages"):
        (folder / name).symlink_to(tiny.ROOT / name)
    monkeypatch.chdir(folder)
    with pytest.raises(CannotRunError, match=r"^train: TF_CONFIG: expected at most 4 workers, .* Received: 5\. .*$"):
        distributed.train(5, tmp_path / "five")
