"""The benchmarks: what they measure is measured, and what they say is what was measured."""

import hashlib
import subprocess

import numpy as np
import pandas as pd
import pytest

from benchmarks import ours, picture, scale, speed, work, workers
from benchmarks.contenders import CONTENDERS, KERAS, TORCH
from cnn.network import batch_norm, build
from cnn.settings import catalogue, schema
from cnn.storage import idx
from tests import tiny

BEGIN, END = "<!-- benchmark: benchmarks/results.csv -->", "<!-- /benchmark -->"
SEEDS = (1, 2, 3)


@pytest.fixture
def results():
    """Three runs of each contender; all but plain Keras take half its time, as much, and a quarter."""
    plain = {"work_s": [10.0, 20.0, 40.0], "peak_mb": [1000.0] * 3, "accuracy": [0.97, 0.97, 0.97]}
    other = {"work_s": [5.0, 20.0, 10.0], "peak_mb": [800.0, 900.0, 500.0], "accuracy": [0.98, 0.985, 0.99]}
    rows = [
        {"contender": name, "seed": seed, "wall_s": 50.0, "cpu_s": 90.0, "val_accuracy": 0.5, "machine": "a machine"}
        | {column: values[index] for column, values in (plain if name == CONTENDERS[name].base else other).items()}
        | ({} if CONTENDERS[name].options is None else {"tflop": 2.0, "peak_tflop_s": 0.4})
        for index, seed in enumerate(SEEDS)
        for name in CONTENDERS
    ]
    return pd.DataFrame(rows)


def cells(table, name):
    """The cells of a contender's row."""
    (line,) = (line for line in table.splitlines() if line.startswith(f"| {name} |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_the_table_has_a_row_for_each_contender(results):
    lines = speed.table(results).splitlines()
    assert [line.split("|")[1].strip() for line in lines[2:]] == list(CONTENDERS)
    assert len({line.count("|") for line in lines}) == 1


def test_the_ratio_is_the_median_of_pairs_with_the_same_seed(results):
    results.loc[results["contender"] == "fast", "work_s"] = [5.0, 4.0, 30.0]
    row = cells(speed.table(results), "fast")
    assert row[1:3] == ["5.0 s", "0.50 (0.20 to 0.75)"], "of 5/10, 4/20 and 30/40; the ratio of the medians is 0.25"


def test_runs_are_paired_by_seed_whatever_their_order_and_number(results):
    whole = speed.table(results)
    assert speed.table(results.sample(frac=1, random_state=1)) == whole
    fewer = results[(results["contender"] != "accurate") | (results["seed"] == 3) | (results["seed"] == 1)]
    assert cells(speed.table(fewer), "accurate")[1:3] == ["7.5 s", "0.38 (0.25 to 0.50)"], "of 1/2 and 1/4"
    assert cells(speed.table(fewer), "fast") == cells(whole, "fast")


def test_the_table_gives_mean_and_deviation_of_accuracy_and_memory_with_its_ratio(results):
    row = cells(speed.table(results), "tutorial")
    assert row[3:7] == ["50.0 s", "90 s", "800 MB (0.80)", "98.50 ± 0.50 %"]


def test_plain_keras_has_no_share_of_peak(results):
    table = speed.table(results)
    assert cells(table, "fast")[7] == "50%", "the median of 2 TFLOP in 5, 20 and 10 s, at 0.4 TFLOP/s"
    for name in (KERAS, f"{KERAS}, fashion-mnist"):
        assert (cells(table, name)[2], cells(table, name)[7]) == ("1", "")


def test_a_recipe_is_held_against_plain_keras_on_its_own_images(results):
    results.loc[results["contender"] == f"{KERAS}, fashion-mnist", "work_s"] = [50.0, 200.0, 100.0]
    assert cells(speed.table(results), "fashion")[2] == "0.10 (0.10 to 0.10)"


def test_what_was_not_measured_has_no_row_and_pytorch_where_it_was_a_ratio(results):
    assert "of PyTorch's" in speed.note(results)
    without = results[results["contender"] != TORCH]
    assert TORCH not in speed.table(without)
    assert speed.note(without) == "Measured on a machine."


def test_the_ratio_to_pytorch_is_of_whole_processes(results):
    results.loc[results["contender"] == "tutorial, machine", "wall_s"] = [20.0, 30.0, 40.0]
    assert "takes 0.60 (0.40 to 0.80) of PyTorch's" in speed.note(results)


def test_the_picture_has_a_point_for_each_contender_and_a_panel_for_each_data_set(results):
    figure = picture.draw(results)
    assert [axes.get_title(loc="left") for axes in figure.axes] == ["mnist", "fashion-mnist"]
    points = {text.get_text(): text.xy for axes in figure.axes for text in axes.texts}
    assert points[KERAS] == pytest.approx((20.0, 97.0))
    assert points["fashion"] == pytest.approx((10.0, 98.0)), "the end of its bar: a deviation of 0.5 below 98.5"
    assert len(points) + 1 == len(CONTENDERS), "plain Keras is in both panels"


def test_the_readme_gets_the_table_between_the_markers_and_changes_nowhere_else(results):
    before, after = "# Title\n\n| a | table |\n\n", "\n\nMore, and \\1 too.\n"
    filled = speed.with_table(f"{before}{BEGIN}\nold\n\nlines\n{END}{after}", results)
    assert filled == f"{before}{BEGIN}\n{speed.table(results)}\n\n{speed.note(results)}\n{END}{after}"
    assert speed.with_table(filled, results) == filled


@pytest.mark.skipif(not speed.RESULTS.exists(), reason="the benchmark has not been run")
def test_the_readme_shows_the_results_of_the_benchmark():
    readme, measured = (tiny.ROOT / "README.md").read_text(), pd.read_csv(speed.RESULTS)
    assert speed.table(measured) in readme
    assert speed.with_table(readme, measured) == readme


@pytest.mark.skipif(not speed.RESULTS.exists(), reason="the benchmark has not been run")
@pytest.mark.parametrize("name", [name for name, contender in CONTENDERS.items() if contender.options])
def test_the_results_are_of_the_recipes_as_they_are(name):
    measured = pd.read_csv(speed.RESULTS).set_index("contender").loc[[name]]
    options = schema.Params.model_validate(CONTENDERS[name].options)
    network = batch_norm.fold_batch_norm(build.build_cnn_model((28, 28, 1), 10, options.model))
    tflop = 3 * ours.operations(network) * ours.trained_on(options.train, 54_000) / 1e12
    assert measured["tflop"].tolist() == pytest.approx([tflop] * CONTENDERS[name].seeds, rel=1e-4)


@pytest.mark.skipif(not scale.RESULTS.exists(), reason="the benchmark has not been run")
def test_the_report_on_scale_is_that_of_its_results():
    assert scale.RESULTS.with_suffix(".md").read_text() == scale.report(pd.read_csv(scale.RESULTS))


def test_the_operations_of_the_lesson_are_those_counted_by_hand():
    model = build.build_cnn_model((28, 28, 1), 10, schema.Model.model_validate(tiny.LESSON["model"]))
    convolutions = 26 * 26 * 32 * 9 + 11 * 11 * 64 * 9 * 32 + 3 * 3 * 64 * 9 * 64
    assert ours.operations(model) == 2 * (convolutions + 576 * 64 + 64 * 10)


@pytest.fixture
def scaled():
    """What scale measures, made up: a stage for each kind of growth."""
    measures = {
        "download": lambda times: (2.0 * times, 100.0),
        "preprocess": lambda times: (3.0 * times**2, 50.0 * times),
        "train": lambda times: (7.0 + 5.0 * times, 300.0 + 2 * scale.PIXELS / 1e6 * times),
        "evaluate": lambda times: (4.0, 80.0 * times**0.5),
    }
    rows = [
        {"times": times, "stage": stage, "wall_s": seconds, "peak_mb": memory, "machine": "a machine"}
        for stage, measure in measures.items()
        for times in scale.TIMES
        for seconds, memory in [measure(times)]
    ]
    return pd.DataFrame(rows)


def test_the_report_finds_exponents_fixed_time_and_bytes_a_pixel(scaled):
    table = scale.report(scaled)
    rows = {stage: cells(table, stage) for stage in scale.STAGES}
    assert rows["download"][1:5] == ["2.0 s, 100 MB", "4.0 s, 100 MB", "8.0 s, 100 MB", "16.0 s, 100 MB"]
    assert rows["download"][5:] == ["1.00, 0.00", "0.0 s", "0.00"]
    assert rows["preprocess"][5] == "2.00, 1.00"
    assert rows["train"][6:] == ["7.0 s", "2.00"]
    assert rows["evaluate"][5:7] == ["0.00, 0.50", "4.0 s"]
    assert "on a machine." in table
    assert len({line.count("|") for line in table.splitlines() if line}) == 2, "the table's lines, and the last one"


def test_scale_is_drawn_as_a_line_for_each_stage_in_both_pictures(scaled):
    figure = scale.draw(scaled)
    assert len(figure.axes) == 2
    for axes, column in zip(figure.axes, ("wall_s", "peak_mb"), strict=True):
        assert [line.get_label() for line in axes.lines] == list(scale.STAGES)
        for line in axes.lines:
            assert list(line.get_xdata()) == list(scale.TIMES)
            np.testing.assert_array_equal(line.get_ydata(), scale.measures(scaled, line.get_label(), column))


def test_an_enlarged_data_set_begins_with_the_original_and_its_catalogue_entry_is_true(tmp_path, make_raw):
    images = make_raw(tmp_path / "raw", labels=[0, 1, 2, 1], test_labels=[2, 0])
    roles = [f"{part}_{kind}" for part in ("train", "test") for kind in ("images", "labels")]
    nothing = {"bytes": 1, "sha256": "0" * 64}
    entry = {"title": "Noise", "licence": "none", "citation": "none", "format": "idx", "shape": [5, 4, 1]}
    entry |= {"classes": ["ant", "bee", "cat"]}
    entry |= {"files": {role: {"name": role.replace("_", "-"), **nothing} for role in roles}}
    scale.enlarge(tmp_path / "raw", entry, 3, tmp_path / "work")

    source = catalogue.load_catalogue(tmp_path / "work/data/sources.yaml")["mnist"]
    mirror = tmp_path / "work/mirror/mnist"
    assert {path.name for path in mirror.iterdir()} == {file.name for file in source.files.all()}
    for file in source.files.all():
        content = (mirror / file.name).read_bytes()
        assert (file.bytes, file.sha256) == (len(content), hashlib.sha256(content).hexdigest())
    for part in ("train", "test"):
        (enlarged,) = idx.idx_rows(mirror / f"{part}-images")
        copies = np.split(enlarged, 3)
        np.testing.assert_array_equal(copies[0], images[part])
        for one, other in ((0, 1), (1, 2), (0, 2)):
            assert (copies[one] != copies[other]).any(axis=(1, 2)).all(), "or preprocess would find duplicates"
            np.testing.assert_array_equal(np.sort(copies[one]), np.sort(copies[other]))
    (labels,) = idx.idx_rows(mirror / "train-labels")
    assert labels.tolist() == [0, 1, 2, 1] * 3


def test_a_module_that_fails_is_reported(tmp_path, capfd):
    with pytest.raises(subprocess.CalledProcessError):
        work.measured("cnn.settings.params", cwd=tmp_path)
    assert "params.yaml" in capfd.readouterr().err


def test_what_a_module_prints_is_returned_with_what_it_cost():
    output, cost = work.measured("this")
    assert output.splitlines()[0] == "The Zen of Python, by Tim Peters"
    assert "peak_mb" not in output
    assert list(cost) == ["wall_s", "cpu_s", "peak_mb"]
    assert min(cost.values()) > 0


def test_what_is_measured_keeps_its_bytecode_whatever_the_caller_does(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    (tmp_path / "told.py").write_text("import sys; print(sys.dont_write_bytecode)")
    assert work.measured("told", cwd=tmp_path)[0] == "False"


def test_the_memory_of_whoever_measures_does_not_count():
    """Linux counts what a parent held before the exec as the child's."""
    held = np.ones(50_000_000)  # 400 MB
    _, cost = work.measured("this")
    assert cost["peak_mb"] < held.nbytes / 1e6 / 4


def test_one_data_set_measured_again_leaves_the_rows_of_the_others(results, tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "RESULTS", tmp_path / "results.csv")
    results.assign(machine=work.machine()).to_csv(speed.RESULTS, index=False)
    kept = set(speed.others("fashion-mnist", None)["contender"])
    assert kept == set(CONTENDERS) - {f"{KERAS}, fashion-mnist", "fashion"}
    results.to_csv(speed.RESULTS, index=False)
    with pytest.raises(SystemExit, match="expected results of .* cores .*Received: a machine. Measure all"):
        speed.others("fashion-mnist", None)


def test_one_data_set_measured_again_loses_nothing(results, tmp_path, monkeypatch):
    monkeypatch.setattr(speed, "RESULTS", tmp_path / "results.csv")
    with pytest.raises(SystemExit, match="expected the results on the other data sets. Measure all"):
        speed.others("mnist", "python")
    results.assign(machine=work.machine()).to_csv(speed.RESULTS, index=False)
    with pytest.raises(SystemExit, match="expected TORCH=…/python, a Python that has PyTorch"):
        speed.others("mnist", None)
    assert set(speed.others("mnist", "python")["contender"]) == {f"{KERAS}, fashion-mnist", "fashion"}


@pytest.fixture(scope="module")
def splits(tmp_path_factory):
    """A folder as preprocess leaves it, of bars in images as large as MNIST's."""
    folder = tmp_path_factory.mktemp("splits")
    for seed, (split, count) in enumerate({"train": 512, "validation": 60, "test": 90}.items()):
        images, labels = tiny.bars(count, seed)
        np.save(folder / f"{split}_images.npy", np.pad(images, ((0, 0), (8, 8), (8, 8), (0, 0))))
        np.save(folder / f"{split}_labels.npy", labels)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", [KERAS, "tutorial", "fast"])
def test_a_contender_trains_and_is_measured(splits, name):
    measured = speed.run(name, 1, splits)
    assert min(measured[column] for column in ("wall_s", "cpu_s", "peak_mb", "work_s")) > 0
    assert measured["work_s"] < measured["wall_s"]
    assert 0 <= measured["accuracy"] <= 1
    if name != KERAS:
        assert measured["tflop"] / measured["work_s"] < measured["peak_tflop_s"], "no faster than the fastest"


@pytest.mark.parametrize(
    ("count", "hop", "expected"),
    [(1, 0.0, 1), (2, 0.0, 2), (8, 0.0, 8), (16, 0.0, 8), (2, 8.0, 1)],
    ids=["alone", "two", "a pair of shards each", "a core idle", "as long on the way as at work"],
)
def test_the_speedup_of_workers_counts_cores_and_the_way_between_them(count, hop, expected):
    alone = {"recipe": "tutorial", "shards": 16, "ms": 16.0, "parameters": 0, "workers": None}
    empty = {"recipe": None, "shards": 4, "ms": hop, "parameters": 1, "workers": 2}
    assert workers.speedup(pd.DataFrame([alone, empty]), "tutorial", count, 1) == pytest.approx(expected)


def test_the_speedup_of_workers_counts_the_bytes_that_each_receives():
    alone = {"recipe": "tutorial", "shards": 16, "ms": 16.0, "parameters": 125_000, "workers": None}
    empty = {"recipe": None, "shards": 4, "ms": 0.0, "parameters": 1, "workers": 2}
    # Half of 16 shards of 0.5 MB is 4 MB: 32 ms at 1 Gb/s, besides 8 ms of work.
    assert workers.speedup(pd.DataFrame([alone, empty]), "tutorial", 2, 1) == pytest.approx(16 / 40)
