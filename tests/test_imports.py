"""Imports: they do nothing, point one way only, and stay light where TensorFlow is not needed."""

import ast
from pathlib import Path

import pytest

from tests import tiny

STAGES = sorted(path.stem for path in (tiny.ROOT / "stages").glob("*.py") if path.stem != "__init__")
RUN = {"download", "preprocess", "train", "evaluate"}  # DVC runs these; the others are shared
HEAVY = {"tensorflow", "keras", "sklearn", "scipy", "mlxtend", "matplotlib"}
LIGHT = ("download", "preprocess", "params", "dataset", "catalogue")


def imported(module: str) -> set[str]:
    """The names that a module of stages imports, anywhere in it: `stages.files`, `numpy`."""
    names = set()
    for node in ast.walk(ast.parse((tiny.ROOT / "stages" / f"{module}.py").read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: a relative import, which checks.status does not see"
            # `from stages import files` and `from stages.files import whole` are the same to us.
            names |= {f"{node.module}.{alias.name}" for alias in node.names if node.module == "stages"}
            names |= {node.module} - {"stages"}
    return names


def test_importing_every_module_prints_nothing_and_writes_nothing(tmp_path):
    code = f"import importlib\nfor name in {STAGES}: importlib.import_module('stages.' + name)"
    # TensorFlow itself may complain; what it says is held back in a run (test_runtime).
    ended = tiny.fresh_python(code, cwd=tmp_path, TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert not [line for line in ended.stderr.splitlines() if "stages" in line]
    assert list(tmp_path.iterdir()) == []


def test_light_modules_do_not_load_heavy_packages(tmp_path):
    code = f"import sys\nfrom stages import {', '.join(LIGHT)}\nprint(*sorted({HEAVY} & set(sys.modules)))"
    ended = tiny.fresh_python(code, cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "\n", "")


@pytest.mark.parametrize("module", STAGES)
def test_no_module_imports_a_stage(module):
    assert imported(module).isdisjoint({f"stages.{name}" for name in RUN})


@pytest.mark.parametrize("module", STAGES)
def test_what_a_module_imports_of_stages_exists(module):
    ours = {name.removeprefix("stages.") for name in imported(module) if name.startswith("stages.")}
    assert ours <= set(STAGES)


def test_only_those_that_need_tensorflow_import_it():
    users = {name for name in STAGES if {"tensorflow", "keras"} & {full.split(".")[0] for full in imported(name)}}
    assert users <= {"model", "augment", "runtime", "train", "evaluate"}


@pytest.mark.parametrize("module", ["train", "evaluate"])
def test_runtime_is_prepared_before_numpy_and_tensorflow_are_imported(module):
    body = ast.parse(Path(tiny.ROOT, "stages", f"{module}.py").read_text()).body
    prepared = next(place for place, node in enumerate(body) if "runtime.prepare(" in ast.unparse(node))
    before = [ast.unparse(node) for node in body[:prepared] if isinstance(node, (ast.Import, ast.ImportFrom))]
    assert before == ["from stages import errors, params, runtime"]
