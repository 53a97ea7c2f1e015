"""The page in a real Chromium without network: drawn, live, usable by hand, keyboard, phone and screen reader."""

import math
import re

import pandas as pd
import pytest

from cnn.comparison import verdict
from cnn.comparison.paired import Paired
from cnn.report import comparison
from cnn.report.page import render
from tests import tiny

pytestmark = pytest.mark.slow

AXE = tiny.ROOT / "tests/report/node_modules/axe-core/axe.min.js"
# Strokes as one writes them, in shares of the pad.
SEVEN = [(0.28, 0.25), (0.72, 0.25), (0.45, 0.8)]
ONE = [(0.5, 0.18), (0.5, 0.82)]
ZERO = [(0.5 + 0.2 * math.sin(t / 4), 0.5 - 0.3 * math.cos(t / 4)) for t in range(27)]
# Without motion: where the page scrolls by itself, it is there at once.
WIDE = {"viewport": {"width": 1200, "height": 900}, "reduced_motion": "reduce"}
PHONE = WIDE | {"viewport": {"width": 360, "height": 740}, "is_mobile": True, "has_touch": True}


@pytest.fixture
def page(digits, visit):
    return ready(visit(digits / "report.html", **WIDE))


def ready(page):
    page.wait_for_selector("#probabilities .best")
    return page


def draw(page, points):
    """Draw a line through points with the mouse, after clearing the pad."""
    page.click("#clear")
    box = page.locator("#pad").bounding_box()
    places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
    page.mouse.move(*places[0])
    page.mouse.down()
    for place in places[1:]:
        page.mouse.move(*place, steps=5)
    page.mouse.up()
    settle(page)


def settle(page):
    """Wait until what was asked for is shown."""
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def answer(page):
    return page.text_content("#probabilities .best .label")


def visible(page):
    """The mistakes shown, as (split, actual, predicted, confidence)."""
    rows = page.locator("#gallery li:not([hidden])").evaluate_all("(items) => items.map((item) => ({...item.dataset}))")
    return [(row["split"], int(row["actual"]), int(row["predicted"]), float(row["confidence"])) for row in rows]


BLANK = """(selector) => [...document.querySelectorAll(selector)].filter((canvas) => {
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  return new Set(new Uint32Array(data.buffer)).size < 2;
}).map((canvas) => canvas.outerHTML)"""


def test_every_picture_is_drawn(page):
    assert page.evaluate("[...document.images].filter((image) => !image.naturalWidth).length") == 0
    assert page.evaluate("document.images.length") > 50
    assert page.evaluate(BLANK, "canvas") == []
    assert page.locator("#maps canvas").count() == 11
    empty = "[...document.querySelectorAll('svg[role=img]')].filter((svg) => !svg.querySelector('line, rect, path'))"
    assert page.evaluate(f"{empty}.length") == 0
    assert page.locator("svg[role=img]").count() >= 8


def test_the_page_is_below_3_mb(digits):
    assert 3e5 < (digits / "report.html").stat().st_size < 3e6


@pytest.mark.parametrize(("points", "digit"), [(ZERO, "0"), (ONE, "1"), (SEVEN, "7")], ids=["0", "1", "7"])
def test_a_drawn_digit_is_recognised(page, points, digit):
    draw(page, points)
    assert answer(page) == digit
    assert page.text_content("#source") == "On the pad: your drawing."


def test_a_digit_in_a_corner_is_centred_as_in_mnist(page):
    draw(page, [(0.05 + 0.4 * x, 0.05 + 0.4 * y) for x, y in SEVEN])
    pixels = page.evaluate("[...inkOf(document.getElementById('seen'))]")
    places = [divmod(place, 28) for place, value in enumerate(pixels) if value]
    for axis in (0, 1):
        mass = [(place, value) for place, value in enumerate(pixels) if value]
        centre = sum((divmod(place, 28)[axis] + 0.5) * value for place, value in mass) / sum(v for _, v in mass)
        assert centre == pytest.approx(14, abs=0.6)
    assert 18 <= max(max(p[axis] for p in places) - min(p[axis] for p in places) + 1 for axis in (0, 1)) <= 21
    assert answer(page) == "7"


def test_the_pen_of_a_finger_draws(digits, visit):
    page = ready(visit(digits / "report.html", **PHONE))
    page.tap("#clear")
    settle(page)
    before = page.evaluate("[...inkOf(document.getElementById('seen'))].reduce((a, b) => a + b)")
    page.locator("#pad").scroll_into_view_if_needed()
    page.locator("#pad").tap()
    settle(page)
    assert before == 0
    assert page.evaluate("[...inkOf(document.getElementById('seen'))].reduce((a, b) => a + b)") > 0


def test_the_keyboard_draws_and_clears(page):
    page.click("#clear")
    page.focus("#pad")
    for key in ["ArrowUp"] * 8 + [" "] + ["ArrowDown"] * 17 + [" "]:
        page.keyboard.press(key)
    settle(page)
    assert answer(page) == "1"
    page.locator("#spoken", has_text="Taken for 1, ").wait_for(state="attached")
    page.keyboard.press("Delete")
    settle(page)
    assert page.text_content("#source") == "The pad is empty: draw something."


def test_a_test_image_reaches_the_network_pixel_for_pixel(digits, page):
    import numpy as np

    images = np.load(digits / "data/processed/test_images.npy")
    labels = np.load(digits / "data/processed/test_labels.npy")
    for digit in range(10):
        page.locator(".samples button").nth(digit).click()
        settle(page)
        index = int(np.flatnonzero(labels == digit)[0])
        assert page.text_content("#source") == f"On the pad: test image {index}, which is {digit}."
        assert page.evaluate("[...inkOf(document.getElementById('seen'))]") == images[index].ravel().tolist()


def test_the_probabilities_shown_are_those_of_tensorflow(digits, page):
    import numpy as np

    from cnn.network import saved
    from tests.network import networks

    images = np.load(digits / "data/processed/test_images.npy")
    labels = np.load(digits / "data/processed/test_labels.npy")
    firsts = [int(np.flatnonzero(labels == digit)[0]) for digit in range(10)]
    expected = networks.outputs(saved.load_model(digits / "data/model/model.keras"), images[firsts])
    for digit, probabilities in enumerate(expected):
        page.locator(".samples button").nth(digit).click()
        settle(page)
        shown = [float(text.rstrip(" %")) for text in page.locator("#probabilities .value").all_text_contents()]
        assert shown == pytest.approx((100 * probabilities).tolist(), abs=0.06)


def test_a_mistake_can_be_given_to_the_network(page):
    _, _, predicted, _ = visible(page)[0]
    page.locator("#gallery li:not([hidden]) button").first.click()
    settle(page)
    assert answer(page) == str(predicted)
    assert re.match(r"On the pad: validation image \d+, \d taken for \d\.", page.text_content("#source"))


def test_the_gallery_is_sorted(page):
    page.select_option("[name=split]", "")
    confidences = [row[3] for row in visible(page)]
    assert confidences == sorted(confidences, reverse=True)
    page.select_option("[name=order]", "unsure")
    assert [row[3] for row in visible(page)] == sorted(confidences)
    page.select_option("[name=order]", "actual")
    assert [row[1] for row in visible(page)] == sorted(row[1] for row in visible(page))
    page.select_option("[name=order]", "predicted")
    assert [row[2] for row in visible(page)] == sorted(row[2] for row in visible(page))


def test_the_gallery_is_filtered_and_reset(page):
    first = visible(page)
    assert {row[0] for row in first} == {"validation"}, "at first: validation decides"
    page.select_option("[name=split]", "")
    every = visible(page)
    assert {row[0] for row in every} == {"validation", "test"}
    actual = every[0][1]
    page.select_option("[name=actual]", str(actual))
    some = visible(page)
    assert some == [row for row in every if row[1] == actual]
    assert page.text_content("#shown") == f"{len(some)} of {len(every)} shown"
    page.click("#filters [type=reset]")
    page.locator("#shown", has_text=f"{len(first)} of").wait_for()
    assert visible(page) == first


def test_a_cell_of_the_confusion_matrix_shows_its_mistakes(page):
    page.check("[name=confusion][value=test]", force=True)
    shown = page.locator("[data-group=confusion]:not([hidden])")
    assert shown.get_attribute("data-split") == "test"
    cell = shown.locator("g.wrong").first
    split, actual, predicted = cell.get_attribute("data-filter").split(",")
    count = int(cell.locator("text").text_content())
    cell.click()
    rows = visible(page)
    assert len(rows) == count
    assert {row[:3] for row in rows} == {(split, int(actual), int(predicted))}
    shown.locator("button[data-filter]").first.click()
    assert len(visible(page)) > 0


def test_what_lies_under_the_pointer_is_said(page):
    band = page.locator(".curve .band").first
    band.scroll_into_view_if_needed()
    settle(page)  # scrolling hides it
    band.hover()
    assert re.fullmatch(r"epoch 1\ntraining 1?\.?\d*\.?\d+\nvalidation \d\.\d+", page.text_content("#tip"))
    assert page.is_visible("#tip")
    page.mouse.move(1, 1)
    assert not page.is_visible("#tip")


@pytest.mark.parametrize("width", [320, 360, 768])
def test_nothing_overflows_a_narrow_screen(digits, visit, width):
    page = ready(visit(digits / "report.html", **PHONE | {"viewport": {"width": width, "height": 740}}))
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_dark_differs_from_light(digits, visit):
    colours = set()
    for scheme in ("light", "dark"):
        page = ready(visit(digits / "report.html", color_scheme=scheme, **WIDE))
        colours.add(page.evaluate("getComputedStyle(document.body).backgroundColor"))
        colours.add(page.evaluate("getComputedStyle(document.body).color"))
    assert len(colours) == 4


def test_a_reader_who_wants_less_motion_gets_none(digits, visit):
    behaviour = "getComputedStyle(document.documentElement).scrollBehavior"
    assert visit(digits / "report.html").evaluate(behaviour) == "smooth"
    assert visit(digits / "report.html", reduced_motion="reduce").evaluate(behaviour) == "auto"


def test_on_paper_there_is_nothing_to_press(page):
    page.emulate_media(media="print", color_scheme="dark")
    assert (
        page.locator("button:visible, nav:visible, select:visible").count()
        == page.locator("#gallery button:visible").count()
    )
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_on_paper_the_tables_of_a_comparison_do_not_overlap(finished, visit):
    folder = finished()
    rows = [verdict.Row("calibration error", 0.95, 0.96, 0.01, -0.005, 0.025)]
    said = verdict.Comparison("validation", "better", "", Paired(20, 1, 1), 0.5, rows, pd.DataFrame())
    changes = [{"name": "model.blocks.conv2.kernel_size", "a": 3, "b": 5}]
    (folder / "report.html").write_text(render(comparison.Compared("main", said, changes, [], [])), encoding="utf-8")
    page = visit(folder / "report.html", viewport={"width": 690, "height": 900})  # A4 less its margins
    page.emulate_media(media="print")
    metrics, parameters = (table.bounding_box() for table in page.locator("#comparison table").all())
    assert metrics["y"] + metrics["height"] <= parameters["y"] or metrics["x"] + metrics["width"] <= parameters["x"]


def test_without_a_script_both_splits_are_shown_and_there_is_nothing_to_press(digits, visit):
    page = visit(digits / "report.html", java_script_enabled=False, **WIDE)
    pressed = page.locator("button:visible, select:visible, input:visible, canvas:visible").count()
    assert pressed == page.locator("#gallery button:visible").count(), "the frames of the mistakes"
    assert page.locator("[data-group]:visible").count() == page.locator("[data-group]").count() == 6
    assert page.locator("noscript p").bounding_box()["height"] > 0


@pytest.mark.parametrize(
    ("size", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide and light", "phone and dark"]
)
def test_axe_finds_nothing_serious(digits, visit, scheme, size):
    if not AXE.exists():
        pytest.skip("needs axe-core: npm ci --prefix tests/report")
    page = ready(visit(digits / "report.html", color_scheme=scheme, bypass_csp=True, **size))
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    page.evaluate("document.querySelectorAll('[hidden]').forEach((part) => { part.hidden = part.id === 'tip'; })")
    page.add_style_tag(content=".scroll { background: none }")  # contrast over a gradient is not judged
    page.add_script_tag(content=AXE.read_text())
    found = page.evaluate("axe.run()")["violations"]
    assert [(rule["id"], rule["nodes"][0]["html"][:200], rule["nodes"][0]["failureSummary"]) for rule in found] == []


def test_hostile_names_and_two_hundred_classes_are_laid_out(finished, visit):
    from cnn.report.page import render
    from tests.report.conftest import HOSTILE

    classes = [*HOSTILE, "x" * 300, *(f"class {number}" for number in range(196))]
    folder = finished(classes=classes)
    (folder / "report.html").write_text(render(), encoding="utf-8")
    page = ready(visit(folder / "report.html", **PHONE))
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator("#probabilities li").count() == 12
    assert page.evaluate("typeof alert") == "function"
    page.set_viewport_size({"width": 1200, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") == 1200


def test_the_caption_of_two_classes_is_not_squeezed_into_the_width_of_their_matrix(finished, visit):
    folder = finished(classes=["a", "b"])
    (folder / "report.html").write_text(render(), encoding="utf-8")
    page = ready(visit(folder / "report.html", **WIDE))
    assert page.locator("#confusion figcaption").first.bounding_box()["height"] < 70


@pytest.mark.parametrize("shape", [(12, 12, 3), (9, 40, 1)], ids=["colour", "wide and grey"])
def test_other_images_make_a_page_without_errors(finished, visit, shape):
    from cnn.report.page import render

    folder = finished(shape=shape)
    (folder / "report.html").write_text(render(), encoding="utf-8")
    page = visit(folder / "report.html", **WIDE)
    if shape[2] == 1:
        draw(ready(page), ZERO)
        assert page.text_content("#source") == "On the pad: your drawing."
    else:
        assert page.locator("#pad").count() == 0
    assert page.evaluate("[...document.images].filter((image) => !image.naturalWidth).length") == 0
