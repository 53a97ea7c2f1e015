"""What the tests of the checks share: the committed result in a git repository of its own."""

import shutil
import subprocess

import pytest
import yaml

from tests import tiny


@pytest.fixture
def project(tmp_path, monkeypatch):
    """What status looks at, as committed, in a git repository of its own; `change` edits dvc.yaml or dvc.lock."""
    for name in ("stages", "cnn"):
        (tmp_path / name).symlink_to(tiny.ROOT / name)
    for name in ("dvc.yaml", "dvc.lock", "params.schema.json"):
        shutil.copy(tiny.ROOT / name, tmp_path)
    shutil.copytree(tiny.ROOT / "metrics", tmp_path / "metrics")
    shutil.copytree(tiny.ROOT / ".dvc", tmp_path / ".dvc", ignore=lambda *_: {"cache", "tmp"})
    for command in (["init", "--quiet"], ["add", "metrics", "dvc.lock"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def change(project):
    """A function: apply a function to the stages of dvc.yaml or dvc.lock."""

    def edit(function, name="dvc.yaml"):
        document = yaml.safe_load((project / name).read_text())
        function(document["stages"])
        (project / name).write_text(yaml.safe_dump(document))

    return edit
