"""Gates: broken only by a whole interval, strict about what is written, and each said in one sentence."""

import subprocess
from pathlib import Path

import pytest

from checks import gates
from cnn.comparison import verdict
from cnn.process.errors import InputError
from cnn.storage.paths import CLASSES, PREDICTIONS
from tests import tiny

AUTHOR = ["-c", "user.name=test", "-c", "user.email=test@example.com"]
DETAILS = """\
split,metric,value,low,high,interval,n
model,parameters,93322,,,,
validation,accuracy,0.9725,0.9514,0.9846,95 % Wilson,400
validation,loss,0.1268,0.073,0.1976,95 % bootstrap,400
"""


@pytest.fixture
def judge(tmp_path, monkeypatch):
    """A function: what is said of the text of gates.yaml, where details.csv is as above."""
    (tmp_path / "checks").mkdir()
    (tmp_path / "metrics").mkdir()
    (tmp_path / gates.DETAILS).write_text(DETAILS)
    monkeypatch.chdir(tmp_path)

    def said(text):
        (tmp_path / gates.GATES).write_text(text)
        bounds, details = gates.load_gates(), gates.read_details()
        return gates.unknown(bounds, details) + gates.broken(bounds, details)

    return said


def test_the_committed_gates_hold(monkeypatch):
    monkeypatch.chdir(tiny.ROOT)
    bounds, details = gates.load_gates(), gates.read_details()
    assert bounds.floors
    assert gates.unknown(bounds, details) + gates.broken(bounds, details) == []


@pytest.mark.parametrize(
    ("gate", "broken"),
    [
        ("floors: {validation.accuracy: 0.9}", False),
        ("floors: {validation.accuracy: 0.98}", False),  # above the value, within the interval
        ("floors: {validation.accuracy: 0.9846}", False),
        ("floors: {validation.accuracy: 0.985}", True),
        ("floors: {validation.accuracy: 1}", True),
        ("ceilings: {validation.loss: 0.25}", False),
        ("ceilings: {validation.loss: 0.1}", False),
        ("ceilings: {validation.loss: 0.07}", True),
        ("regressions: {validation.loss: 0.01}", False),
        ("{}", False),
    ],
)
def test_a_gate_is_broken_where_the_whole_interval_lies_beyond_it(judge, gate, broken):
    assert bool(judge(gate)) is broken


def test_a_broken_gate_is_one_sentence_with_value_interval_and_way_out(judge):
    assert judge("floors: {validation.accuracy: 0.99}\nceilings: {validation.loss: 0.05}") == [
        "validation.accuracy is 0.9725, and its whole interval, 0.9514 to 0.9846 (95 % Wilson), lies below the floor "
        "of 0.99: make it better, or move the gate in checks/gates.yaml.",
        "validation.loss is 0.1268, and its whole interval, 0.0730 to 0.1976 (95 % bootstrap), lies above the ceiling "
        "of 0.05: make it better, or move the gate in checks/gates.yaml.",
    ]


@pytest.mark.parametrize("section", ["floors", "ceilings", "regressions"])
def test_a_metric_that_there_is_not_is_named_with_the_near_miss(judge, section):
    assert judge(f"{section}: {{validation.acuracy: 0.5}}") == [
        f"{section}.validation.acuracy: metrics/details.csv has no such metric. Did you mean 'validation.accuracy'?"
    ]


@pytest.mark.parametrize("section", ["floors", "ceilings", "regressions"])
def test_without_validation_images_no_other_split_is_suggested(judge, tmp_path, section):
    (tmp_path / gates.DETAILS).write_text(DETAILS.replace("validation,", "test,"))
    assert judge(f"{section}: {{validation.accuracy: 0.5}}") == [
        f"{section}.validation.accuracy: there are no validation images: preprocess.validation_fraction is 0. "
        "Hold some back, or take the gate out."
    ]


def test_a_regression_that_cannot_be_judged_suggests_a_validation_metric(judge, tmp_path):
    (tmp_path / gates.DETAILS).write_text(DETAILS + "train,accuracy,0.98,0.97,0.99,95 % Wilson,3600\n")
    assert judge("regressions: {train.accuracy: 0.1}") == [
        "regressions.train.accuracy: two revisions are not compared by it. Did you mean 'validation.accuracy'?"
    ]


def test_a_metric_without_an_interval_is_named(judge):
    assert judge("ceilings: {model.parameters: 100000}") == [
        "ceilings.model.parameters: has no interval in metrics/details.csv, and cannot be judged: take the gate out."
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("flors: {validation.accuracy: 0.5}", "flors: unknown key. Did you mean 'floors'?"),
        (
            "floors: {validation.accuracy: high}",
            "floors.validation.accuracy: expected a valid number. Received: 'high'.",
        ),
        (
            "floors: {validation.accuracy: '0.9'}",
            "floors.validation.accuracy: expected a valid number. Received: '0.9'. Write it without quotes.",
        ),
        ("floors: {validation.accuracy: .nan}", "floors.validation.accuracy: expected a finite number. Received: nan."),
        (
            "regressions: {validation.accuracy: -0.1}",
            "regressions.validation.accuracy: expected greater than or equal to 0. Received: -0.1.",
        ),
        ("floors: 0.9", "floors: expected keys with values. Received: 0.9."),
        ("floors:", "floors: expected keys with values. Received: None."),
        (
            "floors: {validation.loss: 1, validation.loss: 2}",
            "validation.loss: the key stands twice, in lines 1 and 1: keep one.",
        ),
    ],
)
def test_a_fault_of_the_file_is_one_line(judge, text, fault):
    with pytest.raises(InputError) as error:
        judge(text)
    assert str(error.value).splitlines() == ["checks/gates.yaml is not valid:", f"  {fault}"]


@pytest.mark.parametrize("text", ["", "x", "split,metric\nvalidation,accuracy\n", DETAILS.replace("0.9514", "low")])
def test_damaged_details_are_one_line(judge, tmp_path, text):
    (tmp_path / gates.DETAILS).write_text(text)
    if not text:
        (tmp_path / gates.DETAILS).unlink()
    with pytest.raises(InputError, match=r"^metrics/details\.csv: expected metrics with their intervals\."):
        judge("{}")


@pytest.fixture
def worsen(judge):
    """A function: commit a result of 400 validation images, 390 of them right, then let it err on so many more."""

    def write(wrong):
        rows = [
            f"validation,{number},{number:016x},0,{int(number < wrong)},0.9,{0.001 if number < wrong else 0.9}\n"
            for number in range(400)
        ]
        PREDICTIONS.write_text("split,index,image,actual,predicted,confidence,likelihood\n" + "".join(rows))

    Path("params.yaml").write_text("{}")
    Path("dvc.lock").write_text("stages: {}\n")
    CLASSES.write_text("split,class\nvalidation,ant\nvalidation,bee\n")
    with open(gates.DETAILS, "a") as details:  # all that are compared
        details.write("validation,macro_f1,0.97,0.95,0.99,95 % bootstrap,400\n")
        details.write("validation,calibration_error,0.02,0,0.03,95 % bootstrap,400\n")
    write(10)
    for command in (["init", "--quiet"], ["add", "."], [*AUTHOR, "commit", "--quiet", "--message=base"]):
        subprocess.run(["git", *command], check=True)
    return lambda count: write(10 + count)


def regressions(**allowed):
    return gates.Gates(regressions={f"validation.{metric}": bound for metric, bound in allowed.items()})


@pytest.mark.parametrize(("count", "allowed", "broken"), [(40, 0.01, 1), (40, 0.2, 0), (6, 0.01, 0), (0, 0, 0)])
def test_a_regression_is_broken_where_its_whole_paired_interval_lies_beyond_what_is_allowed(
    worsen, count, allowed, broken
):
    worsen(count)
    found, unjudged = gates.regressed(regressions(accuracy=allowed), "HEAD")
    assert (len(found), unjudged) == (broken, [])


def test_a_broken_regression_is_one_sentence(worsen):
    worsen(40)
    (accuracy, loss), _ = gates.regressed(regressions(accuracy=0.01, loss=0.05), "HEAD")
    assert accuracy.startswith("validation.accuracy is worse by 0.1000 than that of HEAD (")
    assert "), 0.8750 after 0.9750, and the whole interval, 0.0" in accuracy
    assert accuracy.endswith(
        " (95 %, paired), lies beyond the 0.01 allowed: make it better, or move the gate in checks/gates.yaml."
    )
    assert loss.startswith("validation.loss is worse by 0.6802 than"), "log(0.9 / 0.001) for 40 of 400 images"


def test_what_became_better_breaks_nothing(worsen):
    worsen(-8)
    assert gates.regressed(regressions(accuracy=0, loss=0, calibration_error=1), "HEAD") == ([], [])


def test_a_result_on_other_images_is_not_judged_and_that_is_said(worsen):
    worsen(0)
    header, _, *rows = PREDICTIONS.read_text().splitlines(keepends=True)
    PREDICTIONS.write_text("".join([header, *rows]))
    found, (note,) = gates.regressed(regressions(accuracy=0), "HEAD")
    assert found == []
    assert note.startswith("validation.accuracy was not held against HEAD (")
    assert "not comparable: other validation images" in note


def test_regressions_are_of_metrics_that_are_compared(judge):
    assert {name.partition(".")[2] for name in gates.PAIRED} == set(verdict.METRICS)
    gates.DETAILS.write_text(DETAILS + "train,accuracy,0.9,0.8,0.95,95 % Wilson,9\n")
    (line,) = judge("regressions: {train.accuracy: 0.01}")
    assert line.startswith("regressions.train.accuracy: two revisions are not compared by it. Did you mean '")
