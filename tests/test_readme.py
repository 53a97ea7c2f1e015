"""The README and the other pages tell the truth: commands, keys, paths and numbers exist and are current."""

import csv
import re
import subprocess
import sys

import pytest
import yaml

from cnn.settings import catalogue, params
from tests import tiny

PAGES = [tiny.ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")]
PAGES += sorted((tiny.ROOT / "docs").glob("*.md"))
README = PAGES[0].read_text()
CODE = re.findall(r"```(\w*)\n(.*?)```", README, re.DOTALL)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)


def inline(text):
    """What stands in `backticks`."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def parameters(document, prefix=""):
    """Every dotted key of params.yaml, sections too."""
    keys = {f"{prefix}{key}" for key in document}
    return keys.union(
        *(parameters(value, f"{prefix}{key}.") for key, value in document.items() if isinstance(value, dict))
    )


def test_is_short():
    assert len(README.splitlines()) < 150


@every_page
def test_every_make_target_exists_and_help_lists_it(page):
    targets = set(re.findall(r"^([a-z-]+):.*## ", (tiny.ROOT / "Makefile").read_text(), re.MULTILINE))
    text = page.read_text()
    commands = "\n".join([code for _, code in re.findall(r"```(\w*)\n(.*?)```", text, re.DOTALL)] + inline(text))
    assert set(re.findall(r"\bmake (?:[A-Z]+=\S+ )?([a-z-]+)", commands)) <= targets


def test_every_key_that_is_set_on_the_command_line_is_a_parameter(tmp_path):
    from dvc.utils.hydra import apply_overrides

    settings = re.findall(r"-S (?:'([^']+)'|(\S+))", README)
    assert settings
    for quoted, plain in settings:
        path = tmp_path / "params.yaml"
        path.write_text(tiny.TUTORIAL.read_text())
        apply_overrides(path, [quoted or plain.rstrip("`")])
        assert params.load_params(path) != params.load_params(tiny.TUTORIAL)


@every_page
def test_every_dotted_key_exists(page):
    known = parameters(tiny.LESSON)
    sections = "|".join(tiny.LESSON)
    for name in inline(page.read_text()):
        if re.fullmatch(rf"({sections})(\.\w+)+(: .*)?", name) and not name.endswith((".py", ".keras")):
            assert name.split(":")[0] in known, name


def test_the_architecture_shown_is_the_committed_one():
    (shown,) = (yaml.safe_load(text)["model"] for language, text in CODE if language == "yaml")
    assert shown.items() <= tiny.LESSON["model"].items()


@every_page
def test_every_path_exists_or_is_made_by_a_stage(page):
    made = "\n".join([(tiny.ROOT / "dvc.yaml").read_text(), (tiny.ROOT / "data/.gitignore").read_text()])
    paths = {
        name
        for name in inline(page.read_text())
        if re.fullmatch(r"[\w./-]+\.(py|yaml|json|csv|md|keras)|[\w./]+/", name)
    }
    for path in paths:
        known = (tiny.ROOT / path).exists() or (tiny.ROOT / "metrics" / path).exists() or path in made
        assert known, path


def test_the_tree_names_every_room_and_script():
    tree = next(text for _, text in CODE if text.startswith("dvc.yaml"))
    rooms = {f"{path.name}/" for path in (tiny.ROOT / "cnn").iterdir() if path.is_dir() and path.name != "__pycache__"}
    scripts = {path.name for path in (tiny.ROOT / "stages").glob("*.py")}
    named = set(re.findall(r"\w+/|\w+\.\w+", tree))
    assert rooms | scripts | {"lesson.py", "docs/", "CONTRIBUTING.md"} <= named


def test_the_results_are_the_committed_metrics():
    with open(tiny.ROOT / "metrics/details.csv", newline="") as file:
        details = {(row["split"], row["metric"]): row for row in csv.DictReader(file)}
    row = re.search(r"\| test accuracy .*\n.*\n\| (.*) \|", README)[1].split(" | ")
    accuracy, loss, f1 = (details["test", name] for name in ("accuracy", "loss", "macro_f1"))
    interval = f"{float(accuracy['low']):.4f} to {float(accuracy['high']):.4f}"
    assert row == [f"{float(accuracy['value']):.4f}", interval, *(f"{float(one['value']):.4f}" for one in (loss, f1))]
    assert f"{int(details['model', 'parameters']['value']):,} parameters" in README


def test_the_seeds_noise_is_the_committed_one():
    with open(tiny.ROOT / "metrics/noise.csv", newline="") as file:
        noise = {row["metric"]: row for row in csv.DictReader(file)}
    said = re.search(r"<!-- noise.*?-->\n(.*?)\n\n", README, re.DOTALL)[1].replace("\n", " ")
    for split in ("validation", "test"):
        row = noise[f"{split}.accuracy"]
        assert f"over {row['seeds']} seeds" in said
        numbers = f"{float(row['mean']):.4f} ± {float(row['standard_deviation']):.4f}"
        assert re.search(f"{split} accuracy (is )?{numbers}", said)


def test_the_data_sets_named_are_those_of_the_catalogue():
    assert set(catalogue.load_catalogue(tiny.ROOT / "data/sources.yaml")) <= set(inline(README))


@pytest.mark.slow
def test_the_notebook_code_runs(tmp_path):
    for name in ("stages", "cnn", "recipes", "data/sources.yaml"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(tiny.ROOT / name)
    (tmp_path / "params.yaml").write_text(tiny.TUTORIAL.read_text())
    (code,) = re.findall(r"```python\n(.*?)```", (tiny.ROOT / "docs/notebook.md").read_text(), re.DOTALL)
    for arguments in (["-m", "stages.download"], ["-m", "stages.preprocess"], ["-c", code]):
        done = subprocess.run(
            [sys.executable, *arguments], cwd=tmp_path, capture_output=True, text=True, timeout=240, check=False
        )
        assert done.returncode == 0, done.stderr
    (val_accuracy, *_) = re.findall(r"0\.\d+", done.stdout.splitlines()[-1])
    assert float(val_accuracy) > 0.7
