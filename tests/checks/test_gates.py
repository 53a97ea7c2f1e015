"""Gates: broken only by a whole interval, strict about what is written, and each said in one sentence."""

import pytest

from checks import gates
from cnn.process.errors import InputError
from tests import tiny

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


@pytest.mark.parametrize("text", ["", "split,metric\nvalidation,accuracy\n", DETAILS.replace("0.9514", "low")])
def test_damaged_details_are_one_line(judge, tmp_path, text):
    (tmp_path / gates.DETAILS).write_text(text)
    if not text:
        (tmp_path / gates.DETAILS).unlink()
    with pytest.raises(InputError, match=r"^metrics/details\.csv: expected metrics with their intervals\."):
        judge("{}")
