"""Checkpoints: a killed training goes on to the same bits, and nothing but its own checkpoint is used."""

import contextlib
import functools
import io
import json
import platform
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn.network import runtime
from cnn.process import machine
from cnn.training import checkpoint as storage
from cnn.training import loop
from cnn.training.checkpoint import Checkpoint, Progress
from cnn.training.sampling import Sampler
from cnn.training.step import Step
from tests import tiny
from tests.training.small import IMAGES, LABELS, VALIDATION, VARIANTS, bits, trained

ROWS = [{"epoch": 1, "loss": 0.1, "accuracy": 1 / 3, "val_loss": None, "val_accuracy": None, "learning_rate": 0.01}]
PROGRESS = Progress(7, (1.1, 22.0), ROWS)


def variables(start=0.0):
    """Two variables: numbers, and a count as optimizers have it."""
    return [tf.Variable(np.arange(6, dtype=np.float32).reshape(2, 3) + start), tf.Variable(int(start), dtype=tf.int64)]


def values(some):
    return [variable.numpy().tolist() for variable in some]


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """The bytes of a small checkpoint of variables(5)."""
    path = tmp_path_factory.mktemp("kept") / "state"
    Checkpoint(path, 300, variables(5), "key").keep(PROGRESS)
    return path.read_bytes()


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("checkpoint")


def test_what_was_kept_is_resumed(tmp_path):
    Checkpoint(tmp_path / "new/state", 300, variables(5), "key").keep(PROGRESS)
    fresh = variables()
    assert Checkpoint(tmp_path / "new/state", 300, fresh, "key").resume() == Progress(7, [1.1, 22.0], ROWS)
    assert values(fresh) == values(variables(5))
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["state"]


def test_without_a_checkpoint_training_begins(tmp_path):
    fresh = variables()
    assert Checkpoint(tmp_path / "none", 300, fresh, "key").resume() == Progress()
    assert Checkpoint(None, 300, fresh, "key").resume() == Progress()
    assert values(fresh) == values(variables())


def test_without_a_path_nothing_is_kept(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Checkpoint(None, 300, variables(), "key").keep(PROGRESS)
    assert list(tmp_path.iterdir()) == []


def assert_set_aside(folder, content, reason, key="key"):
    """A checkpoint of this content is set aside, the reason is told, and nothing else changes."""
    path, aside = folder / "state", folder / "state.set-aside"
    path.write_bytes(content)
    fresh, printed = variables(), io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert Checkpoint(path, 300, fresh, key).resume() == Progress()
    assert values(fresh) == values(variables())
    assert not path.exists()
    assert aside.read_bytes() == content
    assert printed.getvalue() == (f"train: the checkpoint is {reason}: set aside as {aside}, training from the start\n")


@settings(max_examples=300)
@given(st.data())
def test_a_checkpoint_with_any_bit_flipped_is_set_aside(folder, kept, data):
    place, bit = data.draw(st.integers(0, len(kept) - 1)), data.draw(st.integers(0, 7))
    content = bytearray(kept)
    content[place] ^= 1 << bit
    assert_set_aside(folder, bytes(content), "damaged")


@settings(max_examples=300)
@given(st.data())
def test_a_checkpoint_that_is_cut_off_anywhere_is_set_aside(folder, kept, data):
    assert_set_aside(folder, kept[: data.draw(st.integers(0, len(kept) - 1))], "damaged")


@given(st.binary(max_size=100))
def test_what_is_no_checkpoint_is_set_aside(folder, content):
    assert_set_aside(folder, content, "damaged")


def test_more_behind_a_checkpoint_is_damage(folder, kept):
    assert_set_aside(folder, kept + b"\0", "damaged")


def test_a_checkpoint_of_another_key_is_set_aside(folder, kept):
    assert_set_aside(folder, kept, "of other data, parameters, code or versions", key="other")


def test_the_state_is_kept_when_it_is_older_than_so_many_seconds(tmp_path):
    for seconds, name in ((1e-9, "soon"), (300, "late")):
        Checkpoint(tmp_path / name, seconds, variables(), "key").keep_when_due(PROGRESS)
    assert [path.name for path in tmp_path.iterdir()] == ["soon"]


CHUNK = 32


@pytest.fixture(scope="module", autouse=True)
def pieces():
    """Training comes back from TensorFlow, and may keep its state, after 32 images instead of thousands."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "CHUNK", CHUNK)
        yield


class Killed(BaseException):
    """What no code of ours catches."""


KINDS = {
    "adam": {"model": VARIANTS["batch norm and dropout"][0], "batch_size": 32},
    "sgd, validated, 7 do not divide 150": VARIANTS["sgd, one cycle, smoothing"][1]
    | {"batch_size": 7, "validation": VALIDATION},
    "augmented, validated": VARIANTS["augmentation"][1] | {"batch_size": 45, "validation": VALIDATION},
    "sgd, batches of one": {"optimizer": "sgd", "batch_size": 1, "data": (IMAGES[:9], LABELS[:9])},
    "half of the images": {"batch_size": 7, "epoch_share": 0.5, "epochs": 3},
}


def starts(options):
    """For each piece of a training, the epoch that it is in, and its first step."""
    size, count, epochs = options["batch_size"], len(options.get("data", (IMAGES,))[0]), options.get("epochs", 2)
    chosen = tiny.train_options(batch_size=size, epochs=epochs, epoch_share=options.get("epoch_share", 1.0))
    before = [Sampler(chosen, count).steps_before(epoch) for epoch in range(epochs + 1)]
    each = max(CHUNK // size, 1)
    return [(epoch, step) for epoch in range(epochs) for step in range(before[epoch], before[epoch + 1], each)]


@pytest.fixture(scope="module")
def whole():
    """A function: the kind of training, not killed."""
    return functools.cache(lambda kind: trained(**KINDS[kind]))


def killed_in(piece, **options):
    """Train, and be killed at the end of a piece (from 1)."""
    run, left = Step.run, iter(range(piece - 1, -1, -1))

    def killed(*arguments):
        result = run(*arguments)
        if not next(left):
            raise Killed
        return result

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(Step, "run", killed)
        trained(**options)


def check_resumed(kind, piece, whole, folder):
    """Killed at the end of a piece, and run again: the same bits, and the rows handed on after each epoch are whole."""
    options = KINDS[kind] | {"checkpoint": folder / "state", "checkpoint_seconds": 1e-9}
    (folder / "state").unlink(missing_ok=True)
    killed_in(piece, **options)
    calls, printed = [], io.StringIO()
    with contextlib.redirect_stdout(printed):
        resumed = trained(**options, after=lambda rows: calls.append(list(rows)))
    epoch, step = starts(options)[piece - 1]
    (going_on,) = [line for line in printed.getvalue().splitlines() if line.startswith("train: ")] or [""]
    assert going_on.startswith(f"train: going on from step {step:,} of " if step else "")
    assert bool(going_on) == bool(step)
    assert bits(resumed) == bits(whole(kind))
    history = whole(kind)[1]
    assert resumed[1] == history
    expected = [history[:rows] for rows in range(max(epoch, 1), len(history) + 1)]
    assert calls == expected, "where the first epoch was over before the kill as well"


@pytest.mark.parametrize(
    ("kind", "piece"),
    [
        ("adam", 3),
        ("sgd, validated, 7 do not divide 150", 10),
        ("half of the images", 8),
        *(
            pytest.param(*case, marks=pytest.mark.slow)
            for case in (("adam", 1), ("adam", 5), ("augmented, validated", 2))
        ),
    ],
)
def test_a_killed_training_goes_on_from_its_last_checkpoint_to_the_same_bits(tmp_path, whole, kind, piece):
    check_resumed(kind, piece, whole, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=4)
@given(st.data())
def test_wherever_a_training_is_killed_it_goes_on_to_the_same_bits(folder, whole, kind, data):
    check_resumed(kind, data.draw(st.integers(1, len(starts(KINDS[kind])))), whole, folder)


@pytest.mark.slow
def test_a_damaged_checkpoint_costs_time_and_nothing_else(tmp_path, whole, capsys):
    path, options = tmp_path / "state", KINDS["adam"]
    killed_in(5, **options, checkpoint=path)  # in the second epoch: the state after the first one is kept
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    again = trained(**options, checkpoint=path)
    assert "train: the checkpoint is damaged: set aside" in capsys.readouterr().out
    assert bits(again) == bits(whole("adam"))
    assert again[1] == whole("adam")[1]


@pytest.mark.slow
def test_a_training_that_the_system_kills_goes_on_to_the_same_bits(tmp_path):
    code = """
import os, signal, sys
from pathlib import Path
from cnn.network import runtime
runtime.prepare("portable")
from cnn.training import loop
from cnn.training.step import Step
from tests.training import small, test_checkpoint
loop.CHUNK = test_checkpoint.CHUNK
run, pieces = Step.run, iter(range(int(sys.argv[2])))
def counted(*arguments):
    if next(pieces, None) is None:
        os.kill(os.getpid(), signal.SIGKILL)
    return run(*arguments)
Step.run = counted
result = small.trained(**test_checkpoint.KINDS["adam"], checkpoint=Path(sys.argv[1]), checkpoint_seconds=1e-9)
print(small.bits(result))
"""
    killed = tiny.fresh_python(code, str(tmp_path / "state"), "6")
    assert killed.returncode == -signal.SIGKILL
    done = tiny.fresh_python(code, str(tmp_path / "state"), "100")
    assert done.returncode == 0, done.stderr
    assert "train: going on from step 6 of 8\n" in done.stdout
    alone = tiny.fresh_python(code, str(tmp_path / "another"), "100")
    assert "going on" not in alone.stdout
    assert done.stdout.splitlines()[-1] == alone.stdout.splitlines()[-1]


class Stopped(Exception):
    """Carries the key."""


def key_of(folder, **changes):
    """The key of a training with these changes."""

    def stop(path, seconds, variables, key):
        raise Stopped(key)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Stopped) as stopped:
        patch.setattr(loop, "Checkpoint", stop)
        trained(**{"validation": VALIDATION, "checkpoint": folder / "none"} | changes)
    return str(stopped.value)


def changed(array):
    copy = array.copy()
    copy.flat[-1] += 1
    return copy


OTHER = {
    "seed": {"seed": 2},
    "epochs": {"epochs": 3},
    "learning rate": {"learning_rate": 0.02},
    "optimizer": {"optimizer": "sgd"},
    "class weights": {"class_weights": "balanced"},
    "share of an epoch": {"epoch_share": 0.5},
    "augmentation": VARIANTS["augmentation"][1],
    "activation": {"model": {"activation": "elu"}},
    "an image": {"data": (changed(IMAGES), LABELS)},
    "a label": {"data": (IMAGES, changed(LABELS))},
    "type of labels": {"data": (IMAGES, LABELS.astype(np.int64))},
    "an image of validation": {"validation": (changed(VALIDATION[0]), VALIDATION[1])},
    "no validation": {"validation": None},
}


def test_the_same_training_has_the_same_key(tmp_path):
    assert key_of(tmp_path) == key_of(tmp_path)


@pytest.mark.parametrize("changes", OTHER.values(), ids=OTHER)
def test_a_training_that_differs_has_another_key(tmp_path, changes):
    assert key_of(tmp_path, **changes) != key_of(tmp_path)


def fingerprint():
    return storage.fingerprint([IMAGES], ["settings"])


VERSIONS = {
    "Python": lambda patch: patch.setattr(platform, "python_version", lambda: "3.11.0"),
    "a package": lambda patch: patch.setattr(storage, "version", lambda package: "0.0"),
    "kernels": lambda patch: patch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE"),
}


@pytest.mark.parametrize("change", VERSIONS.values(), ids=VERSIONS)
def test_versions_and_kernels_are_in_the_key(monkeypatch, change):
    before = fingerprint()
    change(monkeypatch)
    assert fingerprint() != before


@pytest.mark.parametrize("name", ["node", "cpu_model"])
def test_the_machine_is_in_the_key_of_bits_that_are_its_own(monkeypatch, name):
    """With `determinism: portable` the bits are every machine's, and a training may go on on another."""
    where = platform if name == "node" else machine

    def here_and_there():
        with monkeypatch.context() as patch:
            patch.setattr(where, name, lambda: "here")
            here = fingerprint()
            patch.setattr(where, name, lambda: "there")
            return here, fingerprint()

    for variable, value in runtime.PORTABLE.items():
        monkeypatch.setenv(variable, value)
    here, there = here_and_there()
    assert here == there
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA")
    here, there = here_and_there()
    assert here != there


def test_the_models_of_the_gpus_are_in_the_key_and_not_which_of_them_or_how_many(monkeypatch):
    def with_gpus(*models, visible="0"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", visible)
        monkeypatch.setattr(tf.config, "list_physical_devices", lambda kind: list(models))
        monkeypatch.setattr(tf.config.experimental, "get_device_details", lambda model: {"device_name": model})
        return fingerprint()

    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    one = with_gpus("A100")
    assert with_gpus("A100", visible="1") == with_gpus("A100", "A100") == one
    assert len({one, with_gpus(), with_gpus("H100"), with_gpus("A100", "H100")}) == 4


def test_a_byte_changed_in_any_module_of_ours_that_training_loads_changes_the_key(tmp_path):
    """In a copy of the project, which `stages.train` is run from as DVC does."""
    for name in ("cnn", "stages", "recipes"):
        shutil.copytree(tiny.ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "data").mkdir()
    shutil.copy(tiny.ROOT / "data/sources.yaml", tmp_path / "data")
    shutil.copy(tiny.TUTORIAL, tmp_path / "params.yaml")
    code = """
import json, runpy
from pathlib import Path
from cnn.process.errors import InputError
try:
    runpy.run_module("stages.train", run_name="stages.train")["main"]()
except InputError as error:
    assert "data/processed/train_images.npy" in str(error), error  # by now all is imported
import stages.train
from cnn.training import checkpoint
assert Path(checkpoint.__file__).is_relative_to(Path.cwd())
keys = {"": checkpoint.fingerprint([], [])}
for path in checkpoint.own_modules():
    content = path.read_bytes()
    path.write_bytes(content + b"#")
    keys[str(path.relative_to(Path.cwd()))] = checkpoint.fingerprint([], [])
    path.write_bytes(content)
assert checkpoint.fingerprint([], []) == keys[""]
print(json.dumps(keys))
"""
    done = tiny.fresh_python(code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    keys = json.loads(done.stdout)
    assert len(set(keys.values())) == len(keys)
    rooms = ("network", "process", "settings", "storage", "training")  # on which dvc.yaml says that train depends
    paths = {path for room in rooms for path in (tiny.ROOT / "cnn" / room).glob("*.py")}
    expected = {str(path.relative_to(tiny.ROOT)) for path in paths} | {"cnn/__init__.py", "stages/train.py", ""}
    assert set(keys) <= expected
    assert expected - set(keys) <= {"cnn/process/beside.py", "cnn/storage/idx.py", "cnn/storage/pieces.py"}, (
        "the only ones there that training does not use"
    )
