"""`make sweep`: what a search space may hold, which trial is next, and that no kill loses or doubles one."""

import os
import re
import shutil
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import optuna
import pytest
from optuna.trial import TrialState

from checks import ranked
from checks.clone import git
from checks.sweep import picture, space, storage, trial
from checks.sweep.draw import draw
from checks.sweep.study import Study
from cnn.comparison.git import experiments
from cnn.process.errors import InputError
from cnn.storage.paths import HISTORY
from tests import tiny
from tests.checks.test_noise import processes_in
from tests.test_pipeline import copy_of_the_project

SPACE = """
model.blocks.conv1.filters: [2, 4, 8]
model.dropout: {low: 0.0, high: 0.5}
train.learning_rate: {low: 0.0001, high: 0.03, log: true}
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    """A folder with the lesson's params.yaml and the catalogue; a function: load this text as its sweep.yaml."""
    monkeypatch.chdir(tmp_path)
    shutil.copy(tiny.TUTORIAL, "params.yaml")
    Path("data").mkdir()
    shutil.copy(tiny.ROOT / "data/sources.yaml", "data")

    def load(text):
        Path("sweep.yaml").write_text(text)
        return space.load()

    return load


def test_the_committed_space_fits_the_lesson(here):
    searched = here((tiny.ROOT / "sweep.yaml").read_text())
    assert searched["train.learning_rate"] == optuna.distributions.FloatDistribution(0.0003, 0.01, log=True)
    assert searched["train.batch_size"].choices == (32, 64, 128)
    for name, distribution in searched.items():
        value = getattr(distribution, "high", None) or distribution.choices[-1]
        assert space.impossible({name: value}) == []


@pytest.mark.parametrize(("text", "said"), [
    ("train.lerning_rate: [0.1, 0.2]", "train.lerning_rate: unknown key. Did you mean 'train.learning_rate'?"),
    ("train: {learning_rate: [0.1, 0.2]}", "train: unknown key."),
    ("train.epochs: 3", "train.epochs: expected a list of two or more values, or low and high. Received: 3."),
    ("train.epochs: [3]", "train.epochs: expected a list of two or more values, or low and high. Received: [3]."),
    ("train.epochs: [3, 3]", "train.epochs: expected a list of two or more values"),
    ("train.epochs: [3, 0]", "train.epochs: expected greater than 0. Received: 0."),
    ("train.epochs: {low: 1, high: 2.5}", "train.epochs: expected a valid integer"),
    ("train.optimizer: [adam, sdg]", "train.optimizer: expected 'adam' or 'sgd'. Received: 'sdg'. Did you mean 'sgd'?"),
    ("train.learning_rate: {low: 0.1}", "train.learning_rate.high: missing."),
    ("train.learning_rate: {low: 0.1, high: 1.0, logg: true}", "logg: unknown key. Did you mean 'log'?"),
    ("train.learning_rate: {low: .nan, high: 1.0}", "train.learning_rate.low: expected a finite number."),
    ("model.dropout: {low: 0.5, high: 0.1}", "model.dropout: `low <= high` must hold"),
    ("model.dropout: {low: 0.0, high: 0.5, log: true}", "model.dropout: "),
    ("model.dropout: {low: 0.0, high: 0.5, step: 0.3}", "model.dropout: "),
    ("model.dropout: {low: 0.0, high: 1.0}", "model.dropout: expected less than 1. Received: 1.0."),
    ("model.blocks.conv1.kernel_size: [3, 29]", "model.blocks.conv1.kernel_size: expected at most 28"),
    ("train.seed: {low: 1, high: 9}", "train.seed: expected a parameter of model, train or evaluate: the best of sev"),
    ("preprocess.seed: [1, 2]", "preprocess.seed: expected a parameter of model, train or evaluate: trials on"),
    ("{}", "expected one parameter or more. Received: none."),
])  # fmt: skip
def test_a_fault_of_the_space_is_one_line(here, text, said):
    with pytest.raises(InputError) as raised:
        here(text)
    title, line = str(raised.value).splitlines()
    assert title == "sweep.yaml is not valid (1 fault):"
    assert line.strip().startswith(said) or said in line


def test_all_faults_are_said_at_once(here):
    with pytest.raises(InputError, match=r"\(2 faults\)"):
        here("train.epoch: [1, 2]\ntrain.batch_size: [0, 1]")
    with pytest.raises(InputError, match="expected the file sweep.yaml"):
        Path("sweep.yaml").unlink()
        space.load()


def test_a_sweep_without_validation_images_is_refused(here):
    path = Path("params.yaml")
    path.write_text(path.read_text().replace("validation_fraction: 0.1", "validation_fraction: 0.0"))
    with pytest.raises(InputError, match="a sweep chooses by the validation images"):
        here(SPACE)


def finished(values, searched, state=TrialState.COMPLETE, accuracy=0.5):
    return optuna.create_trial(state=state, params=values, distributions=searched, value=accuracy)


def test_draws_repeat_are_all_different_and_possible(here):
    """Kernels of 13 and of 5 leave too little for the third block: the two together are never drawn."""
    searched = here("model.blocks.conv1.kernel_size: [3, 7, 13]\nmodel.blocks.conv2.kernel_size: [1, 3, 5]")
    drawn = []
    while values := draw([finished(one, searched) for one in drawn], searched):
        assert values == draw([finished(one, searched) for one in drawn], searched)
        drawn.append(values)
    possible = [
        {"model.blocks.conv1.kernel_size": one, "model.blocks.conv2.kernel_size": two}
        for one in (3, 7, 13)
        for two in (1, 3, 5)
        if (one, two) != (13, 5)
    ]
    assert sorted(map(str, drawn)) == sorted(map(str, possible))


def test_a_drawn_number_is_one_that_a_person_would_write(here):
    searched = here("train.learning_rate: {low: 0.00012345, high: 0.01, log: true}\n"
                    "model.dropout: {low: 0.0, high: 0.9, step: 0.1}")  # fmt: skip
    for value in (0.00012345, 0.000123456, 0.0098765):
        assert searched["train.learning_rate"].low <= space.rounded(value, searched["train.learning_rate"]) <= 0.01
    assert space.rounded(0.0012345, searched["train.learning_rate"]) == 0.00123
    assert space.rounded(0.1 * 3, searched["model.dropout"]) == 0.3


@pytest.fixture
def machine(here, tmp_path):
    """A function: the study as a process on a machine of this name has it."""
    searched = here(SPACE)
    held = []

    class Remembering(Study):
        def next(self, wanted):
            if found := super().next(wanted):
                held.append(found)
            return found

    yield lambda name: Remembering(
        storage.open_storage(f"sqlite:///{tmp_path}/trials.db"), "sweep-1", searched, tmp_path / name
    )
    for one in held:
        let_go(one)


def let_go(held):
    """What the kernel does when the process of a trial is killed."""
    held.folder._lock.close()


def test_processes_that_end_at_one_moment_draw_the_picture_one_after_the_other(machine, tmp_path):
    study = machine("a")
    study.finish(study.next(1), TrialState.COMPLETE, 0.9)
    path = tmp_path / "a.png"
    with ThreadPoolExecutor(1) as threads:
        with machine("a").alone():
            drawn = threads.submit(picture.draw, study, path, {})
            with pytest.raises(TimeoutError):
                drawn.result(2)
            assert not path.exists()
        assert drawn.result(60) == path
    assert path.exists()


def test_a_trial_left_by_a_killed_process_is_the_next_one(machine):
    study = machine("a")
    left, held = study.next(8), study.next(8)
    (left.folder.path / "checkpoint").touch()
    let_go(left)
    again = machine("a").next(8)
    assert (again.number, again.values, again.folder.path) == (left.number, left.values, left.folder.path)
    assert (again.folder.path / "checkpoint").exists()
    assert machine("a").next(8).number == 2
    assert {left.number, held.number} == {0, 1}


def test_what_a_kill_leaves_of_a_finished_trial_or_of_none_is_removed(machine, tmp_path):
    study = machine("a")
    done = study.next(8)
    study._storage.set_trial_state_values(done.id, TrialState.COMPLETE, [0.5])  # killed before the folder was removed
    let_go(done)
    (tmp_path / "a/never-entered").mkdir()
    (tmp_path / "a/never-entered.lock").touch()
    assert study.next(1) is None
    assert list((tmp_path / "a").iterdir()) == []
    assert not study.running()


def test_what_runs_on_another_machine_is_left_alone_until_it_is_dead(machine):
    here, there = machine("a"), machine("b")
    theirs = there.next(1)
    assert here.next(1) is None
    assert here.running() == 1
    with here._storage.scoped_session() as session:
        heartbeat = optuna.storages._rdb.models.TrialHeartbeatModel
        session.query(heartbeat).update({heartbeat.heartbeat: heartbeat.heartbeat.type.python_type(2000, 1, 1)})
        session.commit()
    assert here.next(1) is None  # this is where it is found dead
    mine = here.next(1)
    assert (mine.values, mine.number) == (theirs.values, 1)
    here.finish(mine, TrialState.COMPLETE, 0.5)
    with pytest.raises(optuna.exceptions.UpdateFinishedTrialError):
        there.finish(theirs, TrialState.COMPLETE, 0.5)
    assert [one.number for one in here.trials()] == [1]


def test_machines_that_begin_at_one_moment_end_with_as_many_trials_as_wanted(machine, monkeypatch, tmp_path):
    here, there = machine("a"), machine("b")
    theirs = []

    def draw_while_they_begin(trials, searched):
        monkeypatch.undo()
        monkeypatch.chdir(tmp_path)
        values = draw(trials, searched)
        theirs.append(there.next(2))
        assert theirs[0].values == values
        return values

    monkeypatch.setattr("checks.sweep.study.draw", draw_while_they_begin)
    mine = here.next(2)
    assert mine.values != theirs[0].values
    assert len(here.trials()) == 2
    assert here.next(2) is None
    assert here.next(3).number == 3


def test_a_trial_below_the_median_is_stopped_but_not_in_its_first_or_last_epoch(machine, tmp_path):
    study = machine("a")
    for accuracy in (0.5, 0.6, 0.7, 0.8, 0.9):
        other = study.next(9)
        for epoch in (1, 2, 3):
            study.report(other, epoch, accuracy)
        study.finish(other, TrialState.COMPLETE, accuracy)
    slow = study.next(9)
    watch = trial._watch(study, slow, tmp_path)
    watch()  # there is no history yet
    (tmp_path / "metrics").mkdir()
    (tmp_path / HISTORY).write_text("epoch,val_accuracy\n1,0.1\n")
    watch()
    (tmp_path / HISTORY).write_text("epoch,val_accuracy\n1,0.1\n2,0.2\n3,0.9\n")
    with pytest.raises(trial.FellBehindError, match=r"after epoch 2 of 5: validation accuracy 0\.2000"):
        watch()
    (tmp_path / HISTORY).write_text("epoch,val_accuracy\n1,0.7\n2,0.7\n3,0.7\n4,0.7\n5,0.1\n")
    trial._watch(study, slow, tmp_path)()


def test_a_stopped_trial_is_an_experiment_without_results(tmp_path, monkeypatch):
    repository, clone = tmp_path / "repository", tmp_path / "clone"
    for name in ("dvc.yaml", "dvc.lock", "params.yaml", "metrics"):
        copy = shutil.copytree if (tiny.ROOT / name).is_dir() else shutil.copy
        repository.mkdir(exist_ok=True)
        copy(tiny.ROOT / name, repository / name)
    monkeypatch.chdir(repository)
    git("init", "--quiet")
    git("add", ".")
    git(*trial.BY, "commit", "--quiet", "--message=result")
    commit = git("rev-parse", "HEAD").strip()
    git("clone", "--quiet", ".", str(clone))
    for name, whole in (("sweep-1-1", True), ("sweep-1-2", False), ("sweep-1-2", False)):
        trial._keep(clone, commit, name, whole)
    held = experiments()
    assert set(held) == {(commit, "sweep-1-1"), (commit, "sweep-1-2")}
    stopped = git("ls-tree", "-r", "--name-only", held[commit, "sweep-1-2"]).split()
    kept = [path for path in stopped if path.startswith("metrics/")]
    assert kept == ["metrics/history.csv", "metrics/noise.csv"]
    assert git("rev-list", "--count", f"{commit}..{held[commit, 'sweep-1-2']}").strip() == "1"
    results, (line,) = ranked.read_all({name: held[commit, name] for _, name in sorted(held)})
    assert [result.commit for result in results] == [held[commit, "sweep-1-1"]]
    assert line.startswith("Left out: sweep-1-2 (")


@pytest.mark.parametrize(("url", "said"), [
    ("nonsense", "Received: another text (no such URL)."),
    ("sqlite://", "Received: sqlite:// (one in memory is lost with its process)."),
    ("sqlite:////nowhere/trials.db", "Received: sqlite:////nowhere/trials.db (unable to open database file)."),
    ("nosuch://me:secret@host/name", "Received: nosuch://me:***@host/name ("),
])  # fmt: skip
def test_a_storage_that_cannot_be_opened_is_one_line_without_its_password(url, said):
    with pytest.raises(InputError) as raised:
        storage.open_storage(url)
    (line,) = str(raised.value).splitlines()
    assert said in line
    assert "secret" not in line


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, committed, that learns from bars in two epochs."""
    project = copy_of_the_project(tmp_path_factory.mktemp("sweep"))
    project.set(train={"epochs": 2})
    (project.folder / "sweep.yaml").write_text(SPACE)
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--message=project")
    return project


def start(project, trials=8):
    command = ["python", "-m", "checks.sweep", f"--trials={trials}"]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(command, cwd=project.folder, env=project.environment, text=True, **pipes)


def wait_for(project, words):
    """The process in a trial's folder that runs these words."""
    for _ in range(1200):
        for pid in processes_in(project.folder / "sweeps"):
            try:
                if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " "):
                    return pid
            except OSError:
                pass  # it has ended
        time.sleep(0.1)
    raise AssertionError(f"no {words}")


@pytest.mark.slow
def test_eight_trials_killed_three_times_and_gone_on_with_by_two_processes_are_eight_results(project):
    name = r"sweep-[0-9a-f]{8}"
    for killed in ("checks.sweep", "dvc repro", "stages.train"):
        running = start(project)
        found = wait_for(project, "stages.train")
        time.sleep(2)
        pid = running.pid if killed == "checks.sweep" else wait_for(project, killed)
        os.kill(pid, signal.SIGKILL)
        _, said = running.communicate(timeout=120)
        assert running.returncode == (-signal.SIGKILL if killed == "checks.sweep" else 1), said
        if killed != "checks.sweep":
            assert said.endswith("sweep: a trial failed, see above. Run it again to go on with it.\n")
        for _ in range(300):
            if not processes_in(project.folder / "sweeps"):
                break
            time.sleep(0.1)
        assert processes_in(project.folder / "sweeps") == [], found
    both = [start(project), start(project)]
    texts = [one.communicate(timeout=600) for one in both]
    assert [one.returncode for one in both] == [0, 0], texts
    lines = "".join(out for out, _ in texts).splitlines()
    ended = [line for line in lines if re.match(rf"{name}-\d+: ", line)]
    assert len({line.partition(":")[0] for line in ended}) == len(ended) == 8
    assert len({line.partition(": ")[2].partition("  ")[0] for line in ended}) == 8, "all have other parameters"

    held = project.run("git", "for-each-ref", "--format=%(refname:lstrip=4)", "refs/exps").split()
    assert sorted(held) == sorted(line.partition(":")[0] for line in ended)
    (folder,) = (path for path in (project.folder / "sweeps").iterdir() if path.is_dir())
    assert list(folder.iterdir()) == []
    assert folder.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert project.run("git", "status", "--porcelain") == ""
    shown = project.run("dvc", "exp", "show", "--csv")
    assert all(one in shown for one in held)
    again = project.run("python", "-m", "checks.sweep", "--trials=8")
    assert again.splitlines()[0].endswith(", 8 of 8 trials so far")
    table = again[again.index("Ranking on validation") :]
    assert all(f"  {one} " in table for one in held), table
    assert "test  " not in table
    assert project.run("python", "-m", "checks.sweep", "--trials=8") == again


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_what_is_not_committed_is_refused(project):
    running = start(project, trials=9)
    wait_for(project, "dvc repro")
    running.send_signal(signal.SIGINT)
    _, said = running.communicate(timeout=60)
    assert (running.returncode, said) == (130, "\nsweep: stopped by SIGINT. To go on: run it again.\n")
    assert processes_in(project.folder / "sweeps") == []
    project.set(train={"epochs": 3})
    said = project.run("python", "-m", "checks.sweep", status=2)
    assert said.startswith(
        "sweep: expected the files of HEAD, from which each trial begins. Received other ones: params"
    )
    project.run("git", "checkout", "params.yaml")
