"""Imports: they do nothing, point one way only, and stay light where TensorFlow is not needed."""

from pathlib import Path

import pytest

from checks.imports import names
from tests import tiny

FOLDERS = ("stages", "cnn", "checks", "benchmarks")
EVERYTHING = [path.relative_to(tiny.ROOT) for folder in FOLDERS for path in (tiny.ROOT / folder).rglob("*.py")]
FILES = [path for path in EVERYTHING if path.parts[0] in ("stages", "cnn")]
MODULES = {".".join(path.with_suffix("").parts): path for path in sorted(FILES) if path.name != "__init__.py"}
STAGES = ("download", "preprocess", "train", "evaluate")
HEAVY = {"tensorflow", "keras", "sklearn", "scipy", "mlxtend", "matplotlib"}
# Each room may import those named, and itself.
ROOMS = {
    "process": (),
    "settings": ("process",),
    "storage": ("process", "settings"),
    "sources": ("process", "settings", "storage"),
    "datasets": ("process", "settings", "storage"),
    "network": ("process", "settings", "storage"),
    "training": ("process", "settings", "storage", "network"),
    "results": ("process", "settings", "storage", "network"),
    "comparison": ("process", "settings", "storage", "results"),
    "predict": ("process", "settings", "storage", "datasets", "network"),
    "report": ("process", "settings", "storage", "results", "comparison"),
}
WITH_TENSORFLOW = {"cnn.network", "cnn.training", "cnn.lesson", "cnn.arguments"}


def own(path: Path) -> set[str]:
    return {name for name in names(tiny.ROOT / path) if name.split(".")[0] in ("cnn", "stages", "checks", "benchmarks")}


def test_stages_holds_four_scripts_and_nothing_else():
    assert {path.name for path in (tiny.ROOT / "stages").iterdir()} - {"__pycache__"} == {
        f"{name}.py" for name in STAGES
    }


def test_importing_every_module_prints_nothing_and_writes_nothing(tmp_path):
    code = f"import importlib\nfor name in {sorted(MODULES)}: importlib.import_module(name)"
    # TensorFlow itself may complain; what it says is held back in a run (test_runtime).
    ended = tiny.fresh_python(code, cwd=tmp_path, TF_CPP_MIN_LOG_LEVEL="3", CUDA_VISIBLE_DEVICES="-1")
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr
    assert not [line for line in ended.stderr.splitlines() if "cnn" in line]
    assert list(tmp_path.iterdir()) == []


LIGHT = ("settings", "process", "storage", "sources", "datasets", "comparison", "report")


@pytest.mark.parametrize("module", ["stages.train", "stages.evaluate", "cnn.lesson", "cnn.results.metrics", *LIGHT])
def test_what_needs_no_tensorflow_does_not_load_it(tmp_path, module):
    wanted = [name for name in MODULES if name == module or name.startswith(f"cnn.{module}.")]
    code = f"import sys\nimport {', '.join(wanted)}\nprint(*sorted({HEAVY} & set(sys.modules)))"
    ended = tiny.fresh_python(code, cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "\n", "")


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_loads_little_before_it_can_report_an_error(tmp_path, stage):
    """Ctrl-C in the first half second must not be a traceback."""
    code = f"import sys, stages.{stage}\nprint(*sorted({{'pydantic', 'numpy', 'yaml', 'requests'}} & set(sys.modules)))"
    ended = tiny.fresh_python(code, cwd=tmp_path)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "\n", "")


@pytest.mark.parametrize("module", MODULES)
def test_arrows_point_one_way(module):
    imported = own(MODULES[module])
    assert not [name for name in imported if not name.startswith("cnn")], "the library imports no stage and no check"
    if module.startswith("cnn.") and module not in ("cnn.lesson", "cnn.arguments"):
        room = module.split(".")[1]
        rooms = {name.split(".")[1] for name in imported if "." in name}
        assert rooms <= {room, *ROOMS[room]}


@pytest.mark.parametrize("module", MODULES)
def test_what_a_module_imports_of_the_project_exists(module):
    for name in own(MODULES[module]):
        place = tiny.ROOT.joinpath(*name.split("."))
        parent = place.parent.with_suffix(".py")
        assert place.is_dir() or place.with_suffix(".py").is_file() or parent.is_file(), name


def test_only_those_that_need_tensorflow_import_it():
    users = {name for name, path in MODULES.items() if {"tensorflow", "keras"} & names(tiny.ROOT / path)}
    assert [name for name in users if not name.startswith(tuple(WITH_TENSORFLOW))] == []


def test_no_module_is_imported_under_another_name():
    for path in FILES:
        lines = (tiny.ROOT / path).read_text().splitlines()
        assert [line for line in lines if line.strip().startswith(("from cnn", "import cnn")) and " as " in line] == []


def test_scripts_modules_and_functions_are_short():
    import ast

    for path in EVERYTHING:
        text = (tiny.ROOT / path).read_text()
        assert len(text.splitlines()) < (80 if path.parts[0] == "stages" else 150), path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                assert not body or node.end_lineno - body[0].lineno < 40, f"{path}: {node.name}"
