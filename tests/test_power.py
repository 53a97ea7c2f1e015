"""The simulation of verdicts: the same every time, what is committed is what it gives, and what the page says."""

import re

import numpy as np
import pandas as pd
import pytest

from benchmarks import power
from cnn.comparison.paired import Paired
from tests import tiny

PAGE = (tiny.ROOT / "docs/comparing.md").read_text()


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(tiny.ROOT / power.TABLE)


def rate(table, what, n, disagreement=None, difference=None):
    """The one committed rate of these conditions."""
    row = table[(table["what"] == what) & (table["n"] == n)]
    for name, value in (("disagreement", disagreement), ("difference", difference)):
        row = row if value is None else row[np.isclose(row[name], value)]
    return row["rate"].item()


@pytest.mark.parametrize(("n", "disagreement"), [(400, 0.02), (1000, 0.05)])
def test_what_is_committed_is_what_the_code_gives(table, n, disagreement):
    conditions = (n, disagreement, disagreement / 2)
    assert power.false_alarms(n, disagreement) == rate(table, "false alarm", n, disagreement)
    assert power.coverage(*conditions) == rate(table, "coverage", *conditions)
    assert power.power(n, power.DRAWN, 0.016) == rate(table, "power", n, power.DRAWN, 0.016)


def test_rankings_are_simulated_the_same_every_time(table, monkeypatch):
    assert power.ranked(2, 400) == rate(table, "false alarm in a ranking of 2", 400)
    monkeypatch.setattr(power, "RANKINGS", 20)
    assert power.ranked(5, 400) == power.ranked(5, 400)


def test_what_is_drawn_has_the_difference_and_the_disagreement_asked_for():
    cases = power.drawn(1000, 0.05, 0.02)
    assert sum(count for _, count in cases) == power.DRAWS
    assert all(isinstance(pair, Paired) and pair.n == 1000 for pair, _ in cases)
    difference, changed = (
        sum(value(pair) * count for pair, count in cases) / power.DRAWS
        for value in (lambda pair: pair.difference, lambda pair: pair.changed / 1000)
    )
    assert (difference, changed) == pytest.approx((0.02, 0.05), abs=2e-4)


def test_verdicts_and_intervals_hold_what_they_state(table):
    """A margin of three standard deviations, of as many draws as there were."""
    for row in table.to_dict("records"):
        margin = 3 * np.sqrt(0.05 * 0.95 / row["draws"])
        if row["what"].startswith("false alarm"):
            assert row["rate"] <= 0.05 + margin, row
        elif row["what"] == "coverage":
            assert row["rate"] >= 0.95 - margin, row


def test_power_grows_with_the_difference_and_with_the_images(table):
    by_size = [table[(table["what"] == "power") & (table["n"] == n)]["rate"].to_numpy() for n in power.SIZES]
    for rates in by_size:
        assert len(rates) == len(power.DIFFERENCES)
        assert (np.diff(rates) > -0.005).all(), "but for chance"
        assert rates[-1] > 0.9
    assert (by_size[0] < by_size[1] + 0.005).all()
    assert (by_size[1] < by_size[2] + 0.005).all()


def test_the_picture_has_a_curve_for_each_size_and_marks_where_it_is_seen_8_times_in_10(table):
    (axes,) = power.draw(table).axes
    curves = [line for line in axes.lines if len(line.get_xdata()) > 2]
    assert [line.get_color() for line in curves] == list(power.COLOURS.values())
    marks = [line for line in axes.lines if line.get_marker() == "o"]
    for n, curve, mark in zip(power.SIZES, curves, marks, strict=True):
        (x,), (y,) = mark.get_data()
        assert y == 80
        assert np.interp(x, *curve.get_data()) == pytest.approx(80)
        assert f"{n:,} images:\n{x:.1f} points" in [text.get_text() for text in axes.texts]


def shown_in(page, marker):
    """The cells of the table after a marker."""
    lines = page.partition(f"<!-- power: {marker} -->\n")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_the_page_has_the_simulated_rates(table):
    expected = []
    for n in power.SIZES:
        for disagreement in power.DISAGREEMENTS:
            alarms = rate(table, "false alarm", n, disagreement)
            held = min(rate(table, "coverage", n, disagreement, x) for x in (0, disagreement / 2))
            expected.append([f"{n:,}", f"{disagreement:.0%}", f"{alarms:.1%}", f"{held:.1%}"])
    assert shown_in(PAGE, "false alarm, coverage") == spaced(expected)
    rankings = [
        [f"{n:,}", *(f"{rate(table, f'false alarm in a ranking of {count}', n):.1%}" for count in power.EQUALS)]
        for n in power.SIZES[:2]
    ]
    assert shown_in(PAGE, "ranking") == spaced(rankings)
    metrics = ("loss", "macro_f1", "calibration_error")
    networks = [
        [kind, *(f"{rate(table, f'coverage of {metric}, {kind}', 1000):.0%}" for metric in metrics)]
        for kind in ("calibrated", "overconfident")
    ]
    assert shown_in(PAGE, "bootstrap") == spaced(networks)


def spaced(rows):
    """As the page writes percentages."""
    return [[cell.replace("%", " %") for cell in row] for row in rows]


def test_the_page_names_the_lead_that_is_shown_8_times_in_10(table):
    leads = [f"{100 * power.shown(table, n):.1f} points on {n:,} images" for n in power.SIZES]
    text = " ".join(PAGE.split())
    assert f"A lead that is shown 8 times in 10 is {leads[0]}, {leads[1]}, {leads[2]}." in text
    assert f"only one is right on {power.DRAWN:.0%}".replace("%", " %") in text


def test_the_page_shows_the_picture():
    (picture,) = re.findall(r"!\[[^\]]+\]\((\S+)\)", PAGE)
    assert (tiny.ROOT / "docs" / picture).read_bytes() == (tiny.ROOT / power.PICTURE).read_bytes()
