"""What docs/ gives to Kubernetes and Slurm is valid, and names the workers as training reads them."""

import os
import subprocess

import kubernetes_validate
import pytest
import yaml

from cnn.process import cluster
from tests import tiny

MANIFESTS = list(yaml.safe_load_all((tiny.ROOT / "docs/kubernetes.yaml").read_text()))
SLURM = tiny.ROOT / "docs/slurm.sh"


@pytest.fixture
def commands(tmp_path):
    """A folder of commands that a cluster has: each of the project's own says how it was called, and by whom."""
    for name, text in {
        ".venv/bin/dvc": 'echo "dvc $@"; echo "$TF_CONFIG"',
        ".venv/bin/python": 'echo "python $@"; echo "$TF_CONFIG"',
        "scontrol": "printf 'one\\ntwo\\n'",
        "srun": 'shift; for SLURM_PROCID in 0 1; do export SLURM_PROCID; "$@"; done',
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/bash\n{text}\n")
        path.chmod(0o755)
    return tmp_path


def said(command, folder, **variables):
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"} | variables
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def read(monkeypatch, text):
    monkeypatch.setenv("TF_CONFIG", text)
    return cluster.read()


@pytest.mark.parametrize("manifest", MANIFESTS, ids=lambda manifest: manifest["kind"])
def test_the_manifests_are_what_kubernetes_takes(manifest):
    kubernetes_validate.validate(manifest, "1.33", strict=True)


@pytest.mark.parametrize("index", [0, 3])
def test_a_pod_knows_its_place(monkeypatch, commands, index):
    job = next(one for one in MANIFESTS if one["kind"] == "Job")["spec"]
    (pod,) = job["template"]["spec"]["containers"]
    variables = {one["name"]: one["value"] for one in pod["env"]}
    assert job["completions"] == job["parallelism"] == int(variables["WORKERS"])
    called, config = said([*pod["command"], *pod["args"]], commands, JOB_COMPLETION_INDEX=str(index), **variables)
    assert called == ("python -m stages.train" if index else "dvc repro train")
    assert read(monkeypatch, config) == cluster.Cluster(tuple(f"cnn-{one}.cnn:2222" for one in range(4)), index)


def test_a_slurm_task_knows_its_place(monkeypatch, commands):
    subprocess.run(["bash", "-n", SLURM], check=True)
    lines = said(["bash", SLURM], commands, SLURM_SUBMIT_DIR=str(commands), SLURM_JOB_NODELIST="one,two")
    assert lines[::2] == ["dvc repro train", "python -m stages.train"]
    for index, config in enumerate(lines[1::2]):
        assert read(monkeypatch, config) == cluster.Cluster(("one:2222", "two:2222"), index)
