"""checks.status: dvc.yaml agrees with the code, and where it does not, the fault is named."""

import copy

import pytest
import yaml

from checks import status
from tests import tiny


@pytest.fixture
def pipeline(monkeypatch):
    """The committed dvc.yaml, to be changed at will."""
    monkeypatch.chdir(tiny.ROOT)
    return yaml.safe_load((tiny.ROOT / "dvc.yaml").read_text())


def test_committed_pipeline_has_no_fault(pipeline):
    before = copy.deepcopy(pipeline)
    assert status.faults(pipeline) == []
    assert pipeline == before


@pytest.mark.parametrize("module", ["train", "model", "errors"])
def test_missing_dependency_is_named_also_where_it_is_imported_by_another_module(pipeline, module):
    pipeline["stages"]["train"]["deps"].remove(f"stages/{module}.py")
    assert status.faults(pipeline) == [f"train: stages/{module}.py is imported, and not among its deps."]


def test_superfluous_dependency_is_named(pipeline):
    pipeline["stages"]["download"]["deps"].append("stages/model.py")
    assert status.faults(pipeline) == ["download: stages/model.py is among its deps, and not imported."]


def test_wrong_command_is_named(pipeline):
    pipeline["stages"]["evaluate"]["cmd"] = "python stages/evaluate.py"
    assert status.faults(pipeline) == [
        "evaluate: expected the command `python -m stages.evaluate`. Received: `python stages/evaluate.py`."
    ]


def test_missing_description_is_named(pipeline):
    del pipeline["stages"]["preprocess"]["desc"]
    assert status.faults(pipeline) == ["preprocess: expected a `desc`."]


def test_every_fault_is_named_at_once(pipeline):
    for stage in pipeline["stages"].values():
        stage["deps"].remove("stages/errors.py")
        stage["cmd"] = "true"
    assert len(status.faults(pipeline)) == 2 * len(pipeline["stages"])


def test_stale_schema_is_named(pipeline, tmp_path, monkeypatch):
    (tmp_path / "stages").symlink_to(tiny.ROOT / "stages")
    (tmp_path / "params.schema.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    assert status.faults(pipeline) == [
        "params.schema.json is out of date: python -m stages.params --schema > params.schema.json"
    ]


@pytest.mark.parametrize(
    "statement", ["import stages.model", "from stages.model import MODEL", "from stages import model"]
)
def test_every_way_to_import_is_seen(tmp_path, statement):
    for name, text in {"download": statement, "model": "from stages import files", "files": ""}.items():
        (tmp_path / f"{name}.py").write_text(text)
    found = status.imports(tmp_path / "download.py")
    assert found == {tmp_path / "model.py", tmp_path / "files.py"}
