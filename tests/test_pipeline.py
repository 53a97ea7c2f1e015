"""The whole pipeline under DVC, in a copy of the project with a tiny data set: what runs, and what may fail."""

import contextlib
import csv
import gzip
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from cnn.storage import idx
from tests import tiny

pytestmark = pytest.mark.slow  # each command costs a second, each run of a stage several

OUTPUTS = (
    "data/raw/dataset.json",
    "data/processed/summary.json",
    "data/model/model.keras",
    "metrics/metrics.json",
    "metrics/details.csv",
    "metrics/history.csv",
    "metrics/predictions.csv",
    "metrics/classes.csv",
)
FIGURES = {"confusion.png", "history.png", "mistakes.png", "feature_maps.png"}


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
        path.write_text(yaml.safe_dump(document, sort_keys=False, default_flow_style=None))


def add_data_set(project, mirror):
    """Put a tiny data set into the catalogue and its files, one of them gzipped, on a mirror."""
    mirror.mkdir(parents=True)
    files = {}
    for part, (images, labels) in {"train": tiny.bars(120, seed=1), "test": tiny.bars(40, seed=2)}.items():
        for kind, array, pack in (("images", images[..., 0], gzip.compress), ("labels", labels, bytes)):
            name = f"bars-{part}-{kind}"
            idx.write_idx(content := io.BytesIO(), array)
            plain = content.getvalue()
            (mirror / (name + ".gz" * (pack is gzip.compress))).write_bytes(pack(plain))
            files[f"{part}_{kind}"] = {"name": name, "bytes": len(plain), "sha256": hashlib.sha256(plain).hexdigest()}
    about = {"title": "Bars", "licence": "none", "citation": "none", "format": "idx", "shape": list(tiny.SHAPE)}
    entry = about | {"classes": ["lying", "standing", "leaning"], "files": files}
    with open(project.folder / "data/sources.yaml", "a") as catalogue:
        catalogue.write("\n" + yaml.safe_dump({"bars": entry}))
    (project.folder / "data/local/bars").mkdir(parents=True)
    (project.folder / "data/local/bars/.gitkeep").touch()


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
        preprocess={
            "validation_fraction": 0.2,
            "image": dict(zip(("height", "width", "channels"), tiny.SHAPE, strict=True)),
        },
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


def test_a_first_download_pins_the_hash_and_is_up_to_date_with_it(tmp_path):
    """DVC notes the hash of data/pins.yaml after the stage has run, so that what it added makes nothing stale."""
    project = copy_of_the_project(tmp_path)
    path = project.folder / "data/sources.yaml"
    catalogue = yaml.safe_load(path.read_text())
    digest = catalogue["bars"]["files"]["train_images"]["sha256"]
    path.write_text(path.read_text().replace(digest, "pin"))
    first = project.run("dvc", "repro", "download")
    assert "PINNED in data/pins.yaml" in first
    assert yaml.safe_load(project.read("data/pins.yaml")) == {"bars": {"bars-train-images": digest}}
    assert "didn't change, skipping" in project.run("dvc", "repro", "download")
    assert project.run("dvc", "status", "download").strip() == "Data and pipelines are up to date."
    (project.folder / "data/pins.yaml").write_text("{}\n")
    assert "data/pins.yaml" in project.run("dvc", "status", "download")
    assert "PINNED" in project.run("dvc", "repro", "download")


def test_every_output_is_there(project):
    for path in OUTPUTS:
        assert project.read(path), path
    assert {path.name for path in (project.folder / "metrics/figures").iterdir()} == FIGURES
    metrics = json.loads(project.read("metrics/metrics.json"))
    details = list(csv.DictReader(io.StringIO(project.read("metrics/details.csv").decode())))
    sizes = {row["split"]: row["n"] for row in details}
    assert sizes == {"model": "", "validation": "24", "train": "96", "test": "40"}
    predictions = list(csv.DictReader(io.StringIO(project.read("metrics/predictions.csv").decode())))
    for split, n in {"validation": 24, "test": 40}.items():
        right = [row["actual"] == row["predicted"] for row in predictions if row["split"] == split]
        assert (len(right), np.mean(right)) == (n, pytest.approx(metrics[split]["accuracy"], abs=1e-6))


def test_a_run_changes_what_git_tracks_only_under_metrics_and_in_the_lock(project):
    changed = [line[3:] for line in project.first_status.splitlines()]
    assert "dvc.lock" in changed
    assert "metrics/metrics.json" in changed
    assert [path for path in changed if path != "dvc.lock" and not path.startswith("metrics/")] == []


def test_nothing_temporary_is_left(project):
    left = [path for path in project.folder.rglob("*") if path.suffix == ".tmp" or ".draft." in path.name]
    assert left == []
    left = {path.suffix for path in (project.folder / "data").glob("checkpoint/*")}
    assert left == {".lock"}, "of each stage; the kernel holds them, not their being there"


def test_the_report_is_made_of_what_the_run_left(committed):
    assert committed.run("python", "-m", "cnn.report").startswith("report.html: ")
    text = committed.read("report.html").decode()
    assert committed.run("git", "rev-parse", "HEAD").strip() in text
    assert "Not the result that dvc.lock describes" not in text
    assert committed.run("git", "status", "--porcelain") == ""


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
    assert committed.read("metrics/metrics.json") == before, "to the last bit"


@pytest.mark.parametrize("start", [["repro"], ["exp", "run", "-S", "train.seed=1"]])
def test_faults_in_params_stop_the_run_and_undone_the_next_one_restores_all_without_training(committed, start):
    paths = ("data/model/model.keras", "metrics/history.csv", "metrics/metrics.json")
    before = [committed.read(path) for path in paths]
    committed.set(train={"epochs": 0, "bach_size": 7}, model={"activation": "relou"})
    output = committed.run("dvc", *start, status=255)
    assert "train: params.yaml is not valid (3 faults):" in output
    for fault in (
        "train.epochs: expected",
        "train.bach_size: unknown key. Did you mean 'batch_size'?",
        "Did you mean 'relu'?",
        "To have it back, untrained: undo the change, then `dvc repro`.",
    ):
        assert fault in output
    assert "Traceback" not in output
    assert "failed to reproduce 'train'" in output

    committed.run("git", "checkout", "--quiet", "params.yaml")
    assert committed.repro() == []
    assert [committed.read(path) for path in paths] == before
    assert committed.run("git", "status", "--porcelain") == ""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_training_ends_with_dvc_and_the_next_run_goes_on_from_it(committed, number):
    committed.set(train={"epochs": 100 + number})
    lock = committed.folder / "data/checkpoint/train.lock"
    lock.unlink(missing_ok=True)
    dvc = subprocess.Popen(["dvc", "repro"], cwd=committed.folder, env=committed.environment)
    wait_for(lambda: lock.exists() and lock.read_text() and list(lock.parent.glob("*.npz")), 60)
    stage = int(lock.read_text())
    dvc.send_signal(number)
    dvc.wait(30)
    wait_for(lambda: not Path(f"/proc/{stage}").exists(), 10)
    assert not (committed.folder / "data/model/model.keras").exists()
    committed.run("python", "-m", "checks.mend")
    assert re.search(r"going on from step [\d,]+ of", committed.run("dvc", "repro"))


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "in time"
        time.sleep(0.05)


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
        for plot in ("Loss", "Accuracy", "confusion.png"):
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


def test_the_table_of_experiments_fits_into_120_columns(longer):
    """As the README shows it: what was changed, and the validation metrics, which decide."""
    (options,) = re.findall(r"dvc exp show (.*?) *#", (tiny.ROOT / "README.md").read_text())
    longer.environment["COLUMNS"] = "120"
    table = longer.run("dvc", "exp", "show", "--no-pager", *shlex.split(options))
    assert max(map(len, table.splitlines())) <= 120
    header = next(line for line in table.splitlines() if "Experiment" in line)
    assert {"validation.accuracy", "validation.loss", "train.epochs"} <= set(header.split())
    assert "test." not in header


@pytest.fixture
def experiment(committed):
    """A function: run an experiment with these settings, and return the lines of params.yaml that it changed."""

    def run(*settings):
        options = [option for setting in settings for option in ("-S", setting)]
        committed.run("dvc", "exp", "run", "--quiet", *options)
        lines = committed.run("git", "diff", "--unified=0", "params.yaml").splitlines()
        return [line for line in lines if line[0] in "+-" and line[:3] not in ("+++", "---")]

    return run


def test_a_small_learning_rate_trains_and_changes_one_line(experiment):
    removed, added = experiment("train.learning_rate=0.00003")
    assert (removed.split()[1], added.split()[1:]) == ("learning_rate:", ["learning_rate:", "3e-05"])


def test_a_row_of_the_network_is_added_and_named_by_params_diff(committed, experiment):
    experiment("+model.blocks.conv2={filters: 3, kernel_size: 1, stride: 1, pool_size: 1}", "model.dense_units=5")
    difference = committed.run("dvc", "params", "diff")
    assert re.search(r"model\.blocks\.conv2\.filters +- +3", difference)
    assert re.search(r"model\.dense_units +0 +5", difference)


def test_a_sweep_is_queued_with_a_choice(committed):
    committed.run("dvc", "exp", "run", "--queue", "-S", "model.blocks.conv1.filters=choice(4,6)")
    assert committed.run("dvc", "queue", "status").count("Queued") == 2
    committed.run("dvc", "queue", "remove", "--queued")


@pytest.fixture
def faked(committed):
    """A function: commit what a function does to the project, and return what verify says, with its exit code."""

    def verify(fake, status=1):
        fake(committed)
        committed.run("git", "add", "--all")
        committed.run("git", "commit", "--quiet", "--message=fake")
        try:
            return committed.run("python", "-m", "checks.verify", status=status)
        finally:
            committed.run("git", "reset", "--quiet", "--hard", "HEAD~1")

    return verify


def edit(project, name, function):
    """Apply a function to the stages of dvc.yaml or dvc.lock."""
    path = project.folder / name
    document = yaml.safe_load(path.read_text())
    function(document["stages"])
    path.write_text(yaml.safe_dump(document, sort_keys=False))


def fake_accuracy(project):
    """Write a better test accuracy into metrics.json. Returns its md5."""
    path = project.folder / "metrics/metrics.json"
    document = json.loads(path.read_text())
    document["test"]["accuracy"] = 0.9999
    path.write_text(json.dumps(document, indent=2) + "\n")
    return hashlib.md5(path.read_bytes()).hexdigest()


def output(stages, path):
    return next(out for stage in stages.values() for out in stage["outs"] if out["path"] == path)


def test_verify_finds_a_true_result_equal(committed):
    true = committed.run("python", "-m", "checks.verify")
    assert "DIFFERS" not in true
    assert "bit for bit" in true
    committed.set(evaluate={"batch_size": 17})
    assert "expected a clean work tree" in committed.run("python", "-m", "checks.verify", status=2)


def test_verify_names_what_no_stage_makes_and_leaves_it_alone(faked):
    """noise.csv is measured by `make noise`."""
    said = faked(lambda project: (project.folder / "metrics/noise.csv").write_text("anything\n"), status=0)
    assert re.search(r"\(no stage\) +metrics/noise\.csv +not derived again: `make noise` measures it", said)
    assert "bit for bit" in said


def test_verify_under_a_hook_of_git_leaves_the_callers_head_alone(committed):
    """git runs hooks with GIT_DIR set."""
    before = committed.run("git", "rev-parse", "HEAD"), committed.run("git", "status", "--porcelain", "--branch")
    committed.environment["GIT_DIR"] = str(committed.folder / ".git")
    try:
        committed.run("python", "-m", "checks.verify", "no-such-revision", status=2)
        committed.run("python", "-m", "checks.verify", "HEAD")
    finally:
        del committed.environment["GIT_DIR"]
    assert (
        committed.run("git", "rev-parse", "HEAD"),
        committed.run("git", "status", "--porcelain", "--branch"),
    ) == before


def test_verify_names_what_was_tampered_with(faked):
    def tamper(project):
        path = project.folder / "metrics/metrics.json"
        document = json.loads(path.read_text())
        document["test"]["loss"] += 0.25
        path.write_text(json.dumps(document, indent=2) + "\n")
        edit(project, "dvc.lock", lambda stages: output(stages, "data/model/model.keras").update(md5="f" * 32))

    false = faked(tamper)
    differing = re.findall(r"^(\S+) +(\S+) .* DIFFERS$", false, re.MULTILINE)
    assert ("train", "data/model/model.keras") in differing
    assert ("evaluate", "metrics/metrics.json") in differing
    assert ("train", "metrics/history.csv") not in differing
    assert "differs from the stage 'train' on; largest difference of a metric 0.25" in false


def test_a_fake_behind_a_frozen_stage_is_named(faked):
    def fake(project):
        digest = fake_accuracy(project)
        edit(project, "dvc.lock", lambda stages: output(stages, "metrics/metrics.json").update(md5=digest))
        edit(project, "dvc.yaml", lambda stages: stages["evaluate"].update(frozen=True))

    assert "evaluate: frozen in dvc.yaml: DVC does not run it." in faked(fake)


def test_a_fake_that_is_no_output_any_more_is_named(faked):
    def fake(project):
        fake_accuracy(project)
        edit(project, "dvc.yaml", lambda stages: stages["evaluate"].pop("metrics"))

        def forget(stages):
            stages["evaluate"]["outs"].remove(output(stages, "metrics/metrics.json"))

        edit(project, "dvc.lock", forget)

    said = faked(fake)
    assert "metrics/metrics.json: in git, and no stage makes it" in said


def test_a_fake_that_a_run_does_not_make_is_named_wherever_it_lies(faked):
    """A folder as output: dvc.lock has one hash for it, and git its files."""

    def fake(project):
        options = {"results": {"cache": False}}
        edit(project, "dvc.yaml", lambda stages: stages["evaluate"].update(outs=[options]))
        script = project.folder / "stages/evaluate.py"
        line = "    options = params.load_params()\n"
        more = "    import os\n    os.makedirs('results')\n    open('results/final.json', 'w').write('0.5')\n"
        script.write_text(script.read_text().replace(line, more + line))
        project.repro()
        (project.folder / "results/final.json").write_text("0.9999")

    assert re.search(r"results/final.json .* DIFFERS$", faked(fake), re.MULTILINE)


def test_a_fake_that_a_stage_does_not_overwrite_is_named(faked):
    """`persist: true` lets an output stand; the stage's command was changed to write everything but the metrics."""

    def fake(project):
        digest = fake_accuracy(project)
        edit(project, "dvc.lock", lambda stages: output(stages, "metrics/metrics.json").update(md5=digest))
        options = {"metrics/metrics.json": {"cache": False, "persist": True}}
        edit(project, "dvc.yaml", lambda stages: stages["evaluate"].update(metrics=[options]))
        script = project.folder / "stages/evaluate.py"
        script.write_text(script.read_text().replace("tables.write_headline(answers)", "pass"))

    faked(fake, status=2)  # DVC itself misses the output: nothing can be said to be equal


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
    committed.set(train={"epochs": 200})
    lock = committed.folder / "data/checkpoint/train.lock"
    lock.unlink(missing_ok=True)
    first = subprocess.Popen(["dvc", "repro"], cwd=committed.folder, env=committed.environment)
    try:
        wait_for(lambda: lock.exists() and lock.read_text(), 60)
        assert "is busy, it is being blocked by" in committed.run("dvc", "repro", status=255)
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


@contextlib.contextmanager
def queue_workers(project, count):
    """DVC's workers, ended with the block. They keep the output of `dvc queue start` open, for good where the message
    that ends an idle one is lost: a pipe would be waited for."""
    with open(project.folder.parent / "started.txt", "wb") as output:
        start = ["dvc", "queue", "start", "-j", str(count)]
        subprocess.run(start, cwd=project.folder, env=project.environment, stdout=output, stderr=output, check=True)
    try:
        yield
    finally:
        for path in (project.folder / ".dvc/tmp/exps/celery").glob("dvc-exp-worker-*.json"):
            worker = json.loads(path.read_text())
            if worker["returncode"] is None:
                with contextlib.suppress(ProcessLookupError):  # it ended just now
                    os.kill(worker["pid"], signal.SIGTERM)


def test_dvcs_queue_works_from_a_clean_clone_two_at_once(project, tmp_path):
    clone = Project(tmp_path)
    clone.environment = project.environment
    subprocess.run(["git", "clone", "--quiet", project.folder, clone.folder], check=True)
    clone.run("dvc", "exp", "run", "--queue", "-S", "model.blocks.conv1.filters=choice(2,4)")
    with queue_workers(clone, 2):
        for _ in range(100):
            said = clone.run("dvc", "queue", "status")
            if not re.search("Queued|Running", said):
                break
            time.sleep(1)
    assert len(re.findall("Success", said)) == 2, said
    ranking = json.loads(clone.run("python", "-m", "checks.compare", "--experiments", "--json"))["rankings"][0]["rows"]
    filters = {row["parameters"].get("model.blocks.conv1.filters") for row in ranking}
    assert filters == {None, 2, 4}, "of HEAD, and of the two"
    assert clone.run("git", "status", "--porcelain") == ""
