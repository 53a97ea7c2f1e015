"""The whole pipeline under DVC, in a copy of the project with a tiny data set: what runs, and what may fail."""

import csv
import gzip
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import time

import numpy as np
import pytest
import yaml

from stages import dataset
from tests import tiny

pytestmark = pytest.mark.slow  # each command costs a second, each run of a stage several

OUTPUTS = (
    "data/raw/dataset.json",
    "data/processed/summary.json",
    "data/model/model.keras",
    "metrics/metrics.json",
    "metrics/history.csv",
    "metrics/predictions.csv",
)
FIGURES = {"confusion.png", "history.png", "mistakes.png", "filters.png", "feature_maps.png"}


class Project:
    """A copy of the project: a git repository with DVC, and commands in it."""

    def __init__(self, folder):
        self.folder = folder / "project"
        self.environment = tiny.environment(
            DATA_MIRROR=str(folder / "mirror"),
            GIT_CONFIG_GLOBAL=os.devnull,  # nor do the user's settings of git and DVC count
            **{f"GIT_{role}_{what}": "test" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")},
            **{f"DVC_{name}_DIR": str(folder / "dvc") for name in ("GLOBAL_CONFIG", "SYSTEM_CONFIG", "SITE_CACHE")},
        )
        del self.environment["PYTHONPATH"]  # the copy imports its own modules

    def run(self, *command, status=0):
        """Run a command in the project; its whole output."""
        ended = subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=300, check=False
        )
        output = ended.stdout + ended.stderr
        assert ended.returncode == status, output
        return output

    def repro(self):
        """`dvc repro`: the stages that ran."""
        return re.findall(r"Running stage '(\w+)'", self.run("dvc", "repro"))

    def read(self, path):
        return (self.folder / path).read_bytes()

    def set(self, **sections):
        """Change values in params.yaml."""
        path = self.folder / "params.yaml"
        document = yaml.safe_load(path.read_text())
        for section, values in sections.items():
            document[section] |= values
        path.write_text(yaml.safe_dump(document, sort_keys=False))


def add_data_set(project, mirror):
    """Put a tiny data set into the catalogue and its files, one of them gzipped, on a mirror."""
    mirror.mkdir(parents=True)
    files = {}
    for part, (images, labels) in {"train": tiny.bars(120, seed=1), "t10k": tiny.bars(40, seed=2)}.items():
        for kind, array, pack in (("images-idx3", images[..., 0], gzip.compress), ("labels-idx1", labels, bytes)):
            name = f"{part}-{kind}-ubyte"
            dataset.write_idx(content := io.BytesIO(), array)
            plain = content.getvalue()
            (mirror / (name + ".gz" * (pack is gzip.compress))).write_bytes(pack(plain))
            role = f"{part.replace('t10k', 'test')}_{kind.partition('-')[0]}"
            files[role] = {"name": name, "bytes": len(plain), "sha256": hashlib.sha256(plain).hexdigest()}
    about = {"title": "Bars", "licence": "none", "citation": "none", "format": "idx", "shape": list(tiny.SHAPE)}
    entry = about | {"classes": ["lying", "standing", "leaning"], "files": files}
    with open(project.folder / "data/sources.yaml", "a") as catalogue:
        catalogue.write("\n" + yaml.safe_dump({"bars": entry}))


def copy_of_the_project(folder):
    """The project as it is in the work tree, in a git repository with no commit; it learns from bars."""
    project = Project(folder)
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=tiny.ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, listed):
        if (tiny.ROOT / name).is_file() and not name.startswith(("metrics/", "dvc.lock", "tests/")):
            (project.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(tiny.ROOT / name, project.folder / name)
    add_data_set(project, folder / "mirror" / "bars")
    project.set(
        download={"dataset": "bars"},
        preprocess={"validation_fraction": 0.2},
        model=tiny.model_options().model_dump(),
        train=tiny.train_options(epochs=1).model_dump(),
        evaluate={"batch_size": 16},
    )
    project.run("git", "init", "--quiet", "--initial-branch=main")
    return project


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project, committed, that has run once; `project.ran`: what ran."""
    project = copy_of_the_project(tmp_path_factory.mktemp("pipeline"))
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--message=project")
    project.ran = project.repro()
    project.first_status = project.run("git", "status", "--porcelain", "--untracked-files=all")
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--message=result")
    return project


@pytest.fixture
def committed(project):
    """The project back at its commit, with the outputs that belong to it."""
    project.run("git", "reset", "--quiet", "--hard")
    project.run("dvc", "checkout", "--quiet")
    return project


def test_first_run_runs_every_stage_in_order(project):
    assert project.ran == ["download", "preprocess", "train", "evaluate"]


def test_every_output_is_there(project):
    for path in OUTPUTS:
        assert project.read(path), path
    assert {path.name for path in (project.folder / "metrics/figures").iterdir()} == FIGURES
    metrics = json.loads(project.read("metrics/metrics.json"))
    assert [metrics[split]["n"] for split in ("train", "validation", "test")] == [96, 24, 40]
    predictions = list(csv.DictReader(io.StringIO(project.read("metrics/predictions.csv").decode())))
    right = [row["actual"] == row["predicted"] for row in predictions]
    assert np.mean(right) == pytest.approx(metrics["test"]["accuracy"])


def test_a_run_changes_what_git_tracks_only_under_metrics_and_in_the_lock(project):
    changed = [line[3:] for line in project.first_status.splitlines()]
    assert "dvc.lock" in changed
    assert "metrics/metrics.json" in changed
    assert [path for path in changed if path != "dvc.lock" and not path.startswith("metrics/")] == []


def test_nothing_temporary_is_left(project):
    left = [path for path in project.folder.rglob("*") if path.suffix == ".tmp" or ".draft." in path.name]
    assert left == []
    assert list((project.folder / "data").glob("checkpoint/*")) == []


def test_second_run_runs_nothing(committed):
    assert committed.repro() == []


def test_a_comment_in_params_runs_nothing(committed):
    with open(committed.folder / "params.yaml", "a") as file:
        file.write("# a comment\n")
    assert committed.repro() == []


def test_evaluate_parameter_runs_evaluate_only(committed):
    before = committed.read("metrics/metrics.json")
    committed.set(evaluate={"batch_size": 20})
    assert committed.repro() == ["evaluate"]
    assert json.loads(committed.read("metrics/metrics.json"))["test"] == pytest.approx(json.loads(before)["test"])


def test_faults_in_params_stop_the_run_and_the_mended_run_goes_on(committed):
    model, metrics = committed.read("data/model/model.keras"), committed.read("metrics/metrics.json")
    committed.set(train={"epochs": 0, "bach_size": 7}, model={"activation": "relou"})
    output = committed.run("dvc", "repro", status=255)
    assert "train: params.yaml is not valid (3 faults):" in output
    for fault in (
        "train.epochs: expected",
        "train.bach_size: unknown key. Did you mean 'batch_size'?",
        "Did you mean 'relu'?",
    ):
        assert fault in output
    assert "Traceback" not in output
    assert "failed to reproduce 'train'" in output

    committed.run("git", "checkout", "--quiet", "params.yaml")
    committed.run("dvc", "repro")
    assert committed.read("data/model/model.keras") == model
    assert committed.read("metrics/metrics.json") == metrics
    assert committed.run("git", "status", "--porcelain") == ""


@pytest.fixture(scope="module")
def longer(project):
    """The project after `train.epochs` became 2; `project.ran_again`: what ran."""
    project.run("git", "reset", "--quiet", "--hard")
    project.run("dvc", "checkout", "--quiet")
    project.set(train={"epochs": 2})
    project.ran_again = project.repro()
    return project


def test_train_parameter_runs_train_and_evaluate_only(longer):
    assert longer.ran_again == ["train", "evaluate"]
    assert len(longer.read("metrics/history.csv").splitlines()) == 1 + 2


def test_params_diff_names_the_change(longer):
    assert re.search(r"params\.yaml\s+train\.epochs\s+1\s+2", longer.run("dvc", "params", "diff"))


def test_metrics_diff_has_both_values(longer):
    old = json.loads(longer.run("git", "show", "HEAD:metrics/metrics.json"))["test"]["loss"]
    new = json.loads(longer.read("metrics/metrics.json"))["test"]["loss"]
    assert old != new
    difference = json.loads(longer.run("dvc", "metrics", "diff", "--json"))
    (metrics,) = difference.get("diff", difference).values()
    assert metrics["test.loss"] == {"old": old, "new": new, "diff": pytest.approx(new - old)}


def test_plots_are_written(longer):
    for command in (["show"], ["diff", "HEAD"]):
        folder = longer.folder / "dvc_plots"
        shutil.rmtree(folder, ignore_errors=True)
        longer.run("dvc", "plots", *command)
        page = (folder / "index.html").read_text()
        for plot in ("Loss", "Accuracy", "Confusion", "confusion.png"):
            assert plot in page
    assert longer.run("git", "status", "--porcelain", "dvc_plots") == ""


def test_experiment_is_run_shown_and_compared(longer):
    """Two epochs were trained above: the run cache has them."""
    expected = longer.read("metrics/metrics.json")
    longer.run("git", "reset", "--quiet", "--hard")
    longer.run("dvc", "checkout", "--quiet")
    output = longer.run("dvc", "exp", "run", "-S", "train.epochs=2", "--name", "longer")
    assert "Running stage" not in output
    assert longer.read("metrics/metrics.json") == expected
    rows = list(csv.DictReader(io.StringIO(longer.run("dvc", "exp", "show", "--csv"))))
    (row,) = (row for row in rows if row["Experiment"] == "longer")
    assert row["train.epochs"] == "2"
    assert row["test.accuracy"]
    assert re.search(r"train\.epochs\s+1\s+2", longer.run("dvc", "exp", "diff", "HEAD", "longer"))


def test_verify_finds_a_true_result_equal_and_names_what_was_tampered_with(committed):
    python = ["python", "-m", "checks.verify"]
    true = committed.run(*python)
    assert "DIFFERS" not in true
    assert "bit for bit" in true
    committed.set(evaluate={"batch_size": 17})
    assert "expected a clean work tree" in committed.run(*python, status=2)

    committed.run("git", "checkout", "--quiet", "params.yaml")
    metrics = committed.folder / "metrics/metrics.json"
    document = json.loads(metrics.read_text())
    document["test"]["loss"] += 0.25
    metrics.write_text(json.dumps(document, indent=2) + "\n")
    lock = committed.folder / "dvc.lock"
    text = lock.read_text()
    model = yaml.safe_load(text)["stages"]["train"]["outs"][0]["md5"]
    lock.write_text(text.replace(model, "f" * 32))
    committed.run("git", "commit", "--quiet", "--all", "--message=tampered")
    try:
        false = committed.run(*python, status=1)
    finally:
        committed.run("git", "reset", "--quiet", "--hard", "HEAD~1")
    differing = re.findall(r"^(\w+) +(\S+) .* DIFFERS$", false, re.MULTILINE)
    assert ("train", "data/model/model.keras") in differing
    assert ("evaluate", "metrics/metrics.json") in differing
    assert ("train", "metrics/history.csv") not in differing
    assert "differs from the stage 'train' on; largest difference of a metric 0.25" in false


def test_a_damaged_object_in_the_cache_is_made_again(committed):
    model = committed.read("data/model/model.keras")
    digest = hashlib.md5(model).hexdigest()
    cached = committed.folder / ".dvc/cache/files/md5" / digest[:2] / digest[2:]
    cached.chmod(0o644)
    cached.write_bytes(model[:-100])
    (committed.folder / "data/model/model.keras").unlink()
    assert committed.repro() == ["train"]
    assert committed.read("data/model/model.keras") == model == cached.read_bytes()


def test_a_second_run_at_the_same_time_is_told_so_and_does_no_harm(committed):
    committed.set(train={"epochs": 40})
    first = subprocess.Popen(["dvc", "repro"], cwd=committed.folder, env=committed.environment)
    try:
        guard = committed.folder / ".dvc/tmp/rwlock"
        for _ in range(200):
            if guard.exists() and "stages.train" not in (told := guard.read_text()) and "dvc repro" in told:
                break
            time.sleep(0.05)
        assert "dvc repro" in committed.run("dvc", "repro", status=255)
    finally:
        assert first.wait(300) == 0
    assert committed.repro() == []


def test_a_full_disk_is_told_and_the_mended_run_goes_on(committed):
    """The disk: a mount of a megabyte over data/processed."""
    processed = committed.folder / "data/processed"
    shutil.rmtree(processed)
    processed.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", processed], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs the right to mount")
    try:
        output = committed.run("python", "-m", "stages.preprocess", status=1)
        left = list(processed.iterdir())
    finally:
        subprocess.run(["umount", processed], check=True)
    assert re.fullmatch(r"preprocess: No space left on device.* free some disk space, then run again\.\n", output)
    assert left == []
    assert committed.repro() == []  # from the cache
    assert committed.run("git", "status", "--porcelain") == ""
