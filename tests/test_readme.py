"""The README tells the truth: its commands, keys, paths and numbers exist and are current."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from stages import catalogue, params

README = Path("README.md").read_text()
CODE = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
INLINE = re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", README, flags=re.DOTALL))


def test_is_short():
    assert len(README.splitlines()) < 150


def test_every_make_target_exists_and_help_lists_it():
    targets = set(re.findall(r"^([a-z-]+):.*## ", Path("Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"\bmake ([a-z-]+)", "\n".join([text for _, text in CODE] + INLINE)))
    assert {"run", "test", "help"} <= named <= targets


def test_every_key_that_is_set_on_the_command_line_is_a_parameter():
    document = params.load_params().model_dump()
    settings = re.findall(r"-S (\w+)\.(\w+)=(\S+)", README)
    assert settings
    for section, key, value in settings:
        document[section][key] = yaml.safe_load(value)
    params.Params.model_validate(document)


def test_every_dotted_key_exists():
    document = params.load_params().model_dump()
    keys = [
        name for name in INLINE if re.fullmatch(r"(seed|download|preprocess|model|train|evaluate)\.\w+(: .*)?", name)
    ]
    keys = [name for name in keys if not name.endswith((".py", ".keras"))]
    assert keys
    for key in keys:
        section, name = key.split(":")[0].split(".")
        assert name in document[section], key


def test_the_architecture_shown_is_the_committed_one():
    (shown,) = (yaml.safe_load(text)["model"] for language, text in CODE if language == "yaml")
    assert shown.items() <= params.load_params().model.model_dump().items()


def test_every_path_exists_or_is_made_by_a_stage():
    made = "\n".join([Path("dvc.yaml").read_text(), Path("data/.gitignore").read_text()])
    paths = {name for name in INLINE if re.fullmatch(r"[\w./-]+\.(py|yaml|json|csv|md|keras)|[\w.]+/", name)}
    assert len(paths) > 5
    for path in paths:
        known = Path(path).exists() or (Path("metrics") / path).exists() or path in made
        assert known, path


def test_every_module_of_stages_stands_in_the_tree():
    tree = next(text for _, text in CODE if text.startswith("dvc.yaml"))
    modules = {path.name for path in Path("stages").glob("*.py")} - {"__init__.py"}
    assert modules == set(re.findall(r"\w+\.py", tree)) & modules


def test_the_results_are_the_committed_metrics():
    test = json.loads(Path("metrics/metrics.json").read_text())["test"]
    row = re.search(r"\| test accuracy .*\n.*\n\| (.*) \|", README)[1].split(" | ")
    interval = f"{test['accuracy_low']:.4f} to {test['accuracy_high']:.4f}"
    assert row == [f"{test['accuracy']:.4f}", interval, f"{test['loss']:.4f}", f"{test['macro_f1']:.4f}"]
    parameters = json.loads(Path("metrics/metrics.json").read_text())["model"]["parameters"]
    assert f"{parameters:,} parameters" in README


def test_the_data_sets_named_are_those_of_the_catalogue():
    assert set(catalogue.load_catalogue()) <= set(INLINE)


@pytest.mark.slow
def test_the_notebook_code_runs(tmp_path):
    for name in ("stages", "params.yaml", "data/sources.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(Path(name).resolve())
    (code,) = (text for language, text in CODE if language == "python")
    for arguments in (["-m", "stages.download"], ["-m", "stages.preprocess"], ["-c", code]):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stderr
    assert "accuracy" in done.stdout.splitlines()[-1]
