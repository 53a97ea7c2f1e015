"""`python -m checks.status`: each kind of fault in the whole project, its exit code, and what JSON has of it."""

import json
import re
import shutil

import pytest
import yaml

from tests.test_pipeline import copy_of_the_project

pytestmark = pytest.mark.slow  # a project that has run; and DVC is asked each time

AGREE = "status: parameters, code, dvc.yaml, dvc.lock, outputs, metrics/ and gates agree"


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the project that has run, committed with gates that it keeps."""
    project = copy_of_the_project(tmp_path_factory.mktemp("status"))
    (project.folder / "checks/gates.yaml").write_text("floors: {validation.accuracy: 0.1}\n")
    project.repro()
    project.run("git", "add", ".")
    project.run("git", "commit", "--quiet", "--message=result")
    return project


@pytest.fixture
def status(project):
    """A function: what status says in the project, which is brought back to its commit afterwards."""
    yield lambda *options, code=0: project.run("python", "-m", "checks.status", *options, status=code).splitlines()
    project.run("git", "reset", "--quiet", "--hard")
    project.run("git", "clean", "--quiet", "-fd")
    project.run("dvc", "checkout", "--quiet", "--force")


def test_a_committed_result_agrees(status):
    assert status() == [AGREE]


def test_a_fresh_clone_has_no_fault_and_says_that_nothing_was_made(project, tmp_path):
    project.run("git", "clone", "--quiet", ".", str(tmp_path / "clone"))
    before, project.folder = project.folder, tmp_path / "clone"
    try:
        said = project.run("python", "-m", "checks.status")
    finally:
        project.folder = before
    assert said.splitlines() == ["note: nothing has been made here yet: `make run`", AGREE]


def break_gate(project):
    (project.folder / "checks/gates.yaml").write_text("floors: {validation.accuracy: 1.5}\n")


def break_regressions(project):
    (project.folder / "checks/gates.yaml").write_text("regressions: {validation.acuracy: 0.1}\n")


def forget(project):
    project.run("git", "rm", "--quiet", "--cached", "metrics/history.csv")


def conflict(project):
    lock = project.folder / "dvc.lock"
    lock.write_text(f"<<<<<<< HEAD\n{lock.read_text()}=======\n")


def edit_lock(project):
    lock = project.folder / "dvc.lock"
    document = yaml.safe_load(lock.read_text())
    document["stages"]["train"]["outs"][0]["md5"] = "f" * 32
    lock.write_text(yaml.safe_dump(document, sort_keys=False))


def damage_noise(project):
    (project.folder / "metrics/noise.csv").write_text("metric\n")


FAULTS = {
    "parameters": (lambda project: project.set(train={"epochs": 0}), "parameters invalid: params.yaml is not valid"),
    "stale": (
        lambda project: project.set(train={"epochs": 7}),
        "pipeline stale: train has not run since these changed: train.epochs (1, now 7). To go on: `dvc repro`",
    ),
    "missing": (
        lambda project: (project.folder / "data/model/model.keras").unlink(),
        "outputs missing: data/model/model.keras, which train makes, is not here.",
    ),
    "lock": (edit_lock, "dvc.lock edited: data/model/model.keras has the md5 ffffffffffff where train made it"),
    "conflict": (conflict, "dvc.lock edited: it is half-written, or in a merge conflict. To go on: `make run`"),
    "metrics": (
        lambda project: (project.folder / "metrics/metrics.json").write_text("{}"),
        "metrics not those of dvc.lock: metrics/metrics.json: not what dvc.lock says was made.",
    ),
    "git": (forget, "output not in git: metrics/history.csv: git does not have it. To go on: `git add"),
    "code": (
        lambda project: (project.folder / "stages/train.py").unlink(),
        "dvc.yaml wrong: train: expected the script stages/train.py.",
    ),
    "gate": (break_gate, "gate broken: validation.accuracy is "),
    "gates": (break_regressions, "gates invalid: regressions.validation.acuracy: metrics/details.csv has no such"),
    "noise": (damage_noise, "noise invalid: metrics/noise.csv: expected the columns metric, mean"),
}


@pytest.mark.parametrize(("spoil", "line"), FAULTS.values(), ids=FAULTS)
def test_a_fault_ends_it_with_1_and_is_named_with_its_kind(project, status, spoil, line):
    spoil(project)
    said = status(code=1)
    assert [found for found in said if found.startswith(line)], said
    assert AGREE not in said


def test_json_has_kind_and_message_of_each_fault_and_the_notes(project, status):
    break_gate(project)
    shutil.rmtree(project.folder / "data/raw")
    (project.folder / "metrics/noise.csv").write_text(
        "metric,mean,standard_deviation,low,high,seeds,varied,measured_for\ntest.loss,1,0.1,1,1,2,train.seed,00\n"
    )
    report = json.loads("\n".join(status("--json", code=1)))
    assert [fault["kind"] for fault in report["faults"]] == ["gate broken", "outputs missing"]
    sentence = (
        r"validation\.accuracy is [01]\.\d+, and its whole interval, [^.]*\.\d+ to [01]\.\d+ \(95 % Wilson\), lies .*"
    )
    assert re.fullmatch(sentence, report["faults"][0]["message"])
    assert report["notes"] == [
        "metrics/noise.csv was measured for other parameters than those of dvc.lock: `make noise`"
    ]


def test_regressions_are_judged_where_a_base_is_given(project, status):
    (project.folder / "checks/gates.yaml").write_text("regressions: {validation.accuracy: 0}\n")
    note = "note: regressions were not judged: `make check BASE=main` judges them against main"
    assert status() == [note, AGREE]
    assert status("--base", "main") == [AGREE]
    (line,) = status("--base", "no-such-branch", code=2)
    assert line.startswith("status: no-such-branch: expected a commit, branch, tag or DVC experiment.")


def test_a_reader_that_has_gone_is_no_traceback(project, status):
    break_gate(project)
    assert project.run("bash", "-c", "python -m checks.status | true") == ""


def test_what_cannot_be_judged_ends_it_with_2(project, status):
    (project.folder / "dvc.yaml").write_text("stages: [\n")
    assert status(code=2) == ["status: expected stages in a committed dvc.yaml: run `dvc repro` and commit it."]


def test_a_fault_is_said_also_where_dvc_refuses_to_answer(project, status):
    break_gate(project)
    with open(project.folder / "dvc.yaml", "a") as file:
        file.write("unknown_key: 1\n")
    fault, unjudged, *_ = status(code=1)
    assert fault.startswith("gate broken: ")
    assert unjudged.startswith("status: DVC cannot say what has changed: ")
