"""checks.pipeline: dvc.yaml agrees with the code, and nothing stands in for a result; where not, the fault is named."""

import subprocess

import pytest

from checks import pipeline
from checks.clone import CannotRunError
from tests import tiny


def test_the_committed_project_has_no_fault(project):
    assert pipeline.faults() == []


FAULTS = {
    "own script": (
        lambda stages: stages["train"]["deps"].remove("stages/train.py"),
        "train: stages/train.py is imported, and not among its deps.",
    ),
    "room": (
        lambda stages: stages["train"]["deps"].remove("cnn/training"),
        "train: cnn/training is imported, and not among its deps.",
    ),
    "room imported by another room": (
        lambda stages: stages["evaluate"]["deps"].remove("cnn/process"),
        "evaluate: cnn/process is imported, and not among its deps.",
    ),
    "versions": (
        lambda stages: stages["download"]["deps"].remove("requirements.txt"),
        "download: requirements.txt is imported, and not among its deps.",
    ),
    "superfluous room": (
        lambda stages: stages["download"]["deps"].append("cnn/network"),
        "download: cnn/network is among its deps, and not imported.",
    ),
    "command": (
        lambda stages: stages["evaluate"].update(cmd="python stages/evaluate.py"),
        "evaluate: expected the command `python -m stages.evaluate`. Received: `python stages/evaluate.py`.",
    ),
    "description": (lambda stages: stages["preprocess"].pop("desc"), "preprocess: expected a `desc`."),
    "frozen": (
        lambda stages: stages["evaluate"].update(frozen=True),
        "evaluate: frozen in dvc.yaml: DVC does not run it.",
    ),
    "an output that is not in git": (
        lambda stages: stages["evaluate"]["metrics"].__setitem__(0, "metrics/metrics.json"),
        "evaluate: expected metrics/metrics.json with `cache: false` under metrics/, and only there.",
    ),
    "an output that is not in the cache": (
        lambda stages: stages["train"]["outs"].__setitem__(0, {"data/model/model.keras": {"cache": False}}),
        "train: expected data/model/model.keras with `cache: false` under metrics/, and only there.",
    ),
    "an output that stays": (
        lambda stages: stages["train"]["outs"].__setitem__(0, {"data/model/model.keras": {"persist": True}}),
        "train: data/model/model.keras has `persist: true`: what a run does not write would stay.",
    ),
    "parameters": (
        lambda stages: stages["evaluate"]["params"].remove("train.determinism"),
        "evaluate: expected the params evaluate, train.determinism, as stages/evaluate.py says. "
        "Received: ['evaluate'].",
    ),
    "a part of the parameters": (
        lambda stages: stages["train"].update(params=["model.blocks", "train"]),
        "train: expected the params model, train, as stages/train.py says. Received: ['model.blocks', 'train'].",
    ),
    "always": (
        lambda stages: stages["train"].update(always_changed=True),
        "train: `always_changed` runs it where nothing has changed.",
    ),
    "another folder": (
        lambda stages: stages["train"].update(wdir="data"),
        "train: expected no `wdir`: outputs are named from the project's root.",
    ),
    "an output that was never made": (
        lambda stages: stages["train"]["outs"].append("data/model/more"),
        "train: data/model/more is an output in dvc.yaml, and not in dvc.lock.",
    ),
}


@pytest.mark.parametrize(("edit", "fault"), FAULTS.values(), ids=FAULTS)
def test_a_fault_is_named(change, edit, fault):
    change(edit)
    assert pipeline.faults() == [fault]


def test_a_metric_taken_out_of_both_files_is_named(change):
    change(lambda stages: stages["evaluate"].pop("metrics"))
    is_metrics = "metrics/metrics.json".__eq__

    def forget(stages):
        stages["evaluate"]["outs"] = [out for out in stages["evaluate"]["outs"] if not is_metrics(out["path"])]

    change(forget, "dvc.lock")
    assert pipeline.faults() == [
        "metrics/metrics.json: in git, and no stage makes it: remove it, or name it in dvc.yaml."
    ]


PLAIN = "expected a plain file in git"
FILES = {
    "a link": (
        lambda folder: (folder / "metrics/final.json").symlink_to("../other.json"),
        PLAIN,
    ),
    "a link to a folder": (
        lambda folder: (folder / "metrics/final").symlink_to("../docs"),
        PLAIN,
    ),
    "a link to nothing": (
        lambda folder: (folder / "metrics/x").symlink_to("accuracy 1"),
        PLAIN,
    ),
    "a file": (lambda folder: (folder / "metrics/final.json").write_text("{}"), "in git, and no stage makes it"),
    "a file with another alphabet": (
        lambda folder: (folder / "metrics/métrique.json").write_text("{}"),
        "in git, and no stage makes it",
    ),
    "a link in place of all": (
        lambda folder: (folder / "metrics").rename(folder / "other") and (folder / "metrics").symlink_to("other"),
        PLAIN,
    ),
    "another pipeline": (
        lambda folder: (folder / "lab-dvc.yaml").rename(folder / "lab/dvc.yaml"),
        "expected one dvc.yaml",
    ),
    "settings of one machine": (
        lambda folder: (folder / ".dvc/config.local").write_text("[core]\n    no_scm = true\n"),
        "its settings are for one machine",
    ),
}


@pytest.mark.parametrize(("make", "fault"), FILES.values(), ids=FILES)
def test_a_file_in_git_that_could_stand_in_for_a_result_is_named(project, make, fault):
    (project / "lab").mkdir()
    (project / "lab-dvc.yaml").write_text("stages: {}\n")
    make(project)
    subprocess.run(["git", "add", "--force", "metrics", "lab", ".dvc"], check=True)
    (line,) = pipeline.faults()
    assert fault in line


def test_a_file_that_dvc_yaml_shows_and_no_stage_makes_is_named(project):
    with open(project / "dvc.yaml", "a") as file:
        file.write("metrics:\n- final.json\n")
    assert pipeline.faults() == ["dvc.yaml shows final.json, which no stage makes."]


def test_a_stage_without_a_script_is_named(change):
    change(lambda stages: stages.update(report={"cmd": "true"}))
    assert "report: expected the script stages/report.py." in pipeline.faults()


def test_a_section_that_is_indented_is_read_as_dvc_reads_it(project):
    (project / ".dvc/config").write_text("[core]\n    analytics = false\n  [hydra]\n    enabled = true\n")
    assert pipeline.faults() == [".dvc/config: hydra.enabled can change what `dvc repro` does: remove it."]


def test_a_damaged_setting_is_one_line(project):
    (project / ".dvc/config").write_text("[core\n")
    with pytest.raises(CannotRunError, match=r"^config: expected DVC's settings\. Received: "):
        pipeline.faults()


def test_dvc_ignores_all_that_git_ignores_beside_the_code():
    """Otherwise a room's hash has a file in it that no one else has."""
    ignored = {line.rstrip("/") for line in (tiny.ROOT / ".gitignore").read_text().split()}
    assert ignored - {".venv", "dvc_plots"} <= set((tiny.ROOT / ".dvcignore").read_text().split())


def test_stages_that_only_one_file_has_are_named(change):
    change(lambda stages: stages.pop("evaluate"))
    assert "evaluate: in dvc.lock, and no stage in dvc.yaml." in pipeline.faults()
    change(lambda stages: stages.pop("train"), "dvc.lock")
    assert "train: a stage in dvc.yaml, and not in dvc.lock." in pipeline.faults()


@pytest.mark.parametrize("setting", ["[cache]\n    dir = /tmp/other\n", "[core]\n    no_scm = true\n"])
def test_a_setting_of_dvc_that_can_change_a_run_is_named(project, setting):
    (project / ".dvc/config").write_text(setting)
    (line,) = pipeline.faults()
    assert line.startswith(".dvc/config: ")
    assert "can change what `dvc repro` does" in line


def test_a_remote_is_no_fault(project):
    (project / ".dvc/config").write_text("['remote \"store\"']\n    url = s3://bucket\n[core]\n    remote = store\n")
    assert pipeline.faults() == []


@pytest.mark.parametrize("content", ["", "[1, 2]", "stages: 5", "stages:\n  train: 5", "a: ["])
def test_a_damaged_lock_is_one_line(project, content):
    (project / "dvc.lock").write_text(content)
    with pytest.raises(
        CannotRunError, match=r"^expected stages in a committed dvc\.lock: run `dvc repro` and commit it"
    ):
        pipeline.faults()


def test_every_fault_is_named_at_once(change):
    def spoil(stages):
        for stage in stages.values():
            stage["deps"].remove("cnn/process")
            stage["cmd"] = "true"

    change(spoil)
    assert len(pipeline.faults()) == 2 * 4


def test_a_stale_schema_is_named(project):
    (project / "params.schema.json").write_text("{}")
    assert pipeline.faults() == [
        "params.schema.json is out of date: python -m cnn.settings.params --schema > params.schema.json"
    ]
