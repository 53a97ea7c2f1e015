"""The page itself: complete, safe, small, the same bytes; and one clear line where it cannot be made."""

import dataclasses
import json
import re
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
import yaml

from cnn.comparison import verdict
from cnn.comparison.paired import Paired
from cnn.process.errors import InputError
from cnn.report import charts, comparison, gallery, images, network, page, results
from tests import tiny
from tests.report.conftest import HISTORY, HOSTILE


def data_of(text):
    """What the page holds for its script."""
    return json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', text)[1])


def test_two_pages_of_one_result_are_the_same_bytes(finished):
    finished()
    assert page.render() == page.render()


def test_the_command_writes_the_page_and_loads_no_tensorflow(finished):
    folder = finished()
    code = "import sys, runpy\nsys.argv = ['report']\nrunpy.run_module('cnn.report', run_name='__main__')\n"
    ended = tiny.fresh_python(f"{code}print({{'tensorflow', 'keras', 'matplotlib'}} & set(sys.modules))", cwd=folder)
    assert ended.stderr == ""
    assert re.fullmatch(r"report\.html: \d\.\d\d MB\. Open it .*\nset\(\)\n", ended.stdout)
    assert (folder / "report.html").read_text() == page.render()


def test_names_of_this_machine_are_not_in_it(finished):
    folder = finished()
    text = page.render()
    assert str(folder) not in text
    assert not re.search(r"/(tmp|home|root|usr|work)/", text)


def test_nothing_in_it_has_an_address_outside(finished):
    finished()
    text = page.render()
    addresses = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert addresses
    assert [address for address in addresses if not address.startswith(("data:", "#"))] == []
    assert "default-src 'none'" in text
    assert not re.search(r"https?://|url\(", text.replace("url(#arrow)", ""))


def test_names_of_classes_are_text_and_nothing_else(finished):
    finished()
    text = page.render()
    assert "<b>" not in text
    assert "alert(" not in re.sub(r"&#34;|\\u0022", "", text).replace("&lt;script&gt;alert(", "").replace(
        "\\u003cscript\\u003ealert(", ""
    )
    assert text.count("</script>") == 2, "the data's end and the script's"
    assert data_of(text)["classes"] == HOSTILE


def test_a_class_called_na_keeps_its_name(finished):
    finished(classes=["NA", "007", "null"])
    assert [row["class"] for row in results.read().per_class.to_dict("records")] == ["NA", "007", "null"] * 2
    assert "<bdi>007</bdi>" in page.render()


def test_it_has_the_numbers_of_the_files(finished):
    finished()
    text = page.render()
    spaced = text.replace("\N{NO-BREAK SPACE}", " ")
    details = pd.read_csv("metrics/details.csv")
    for row in details[details["metric"] == "accuracy"].itertuples():
        assert f"{100 * row.value:.2f} %" in spaced
        assert f"95 % interval: {100 * row.low:.2f} % to {100 * row.high:.2f} %" in spaced
    assert text.index("Validation</h3>") < text.index("Test</h3>"), "validation decides"


def test_no_validation_and_one_epoch_are_no_fault(finished):
    history = {key: values[:1] for key, values in HISTORY.items()} | {"val_loss": [np.nan], "val_accuracy": [np.nan]}
    finished(validation=0, history=history)
    text = page.render()
    assert "Validation</h3>" not in text
    assert 'class="switch"' not in text
    assert "trained for 1 epoch\n" in text


def test_a_result_without_mistakes_says_so(finished):
    finished()
    table = pd.read_csv("metrics/predictions.csv")
    table.assign(predicted=table["actual"]).to_csv("metrics/predictions.csv", index=False)
    assert "None: every image of validation and test was named right." in page.render()


@pytest.mark.parametrize(
    ("shape", "reason"),
    [((12, 12, 3), "12 × 12 pixels and 3 channels"), ((65, 12, 1), "65 × 12 pixels and 1 channel.")],
)
def test_large_and_colour_images_get_no_panel_and_a_reason(finished, shape, reason):
    finished(shape=shape)
    text = page.render()
    assert (
        f"There is no panel to draw an image here. It is for grey images of up to 64 pixels a side. These have {reason}"
        in text
    )
    assert 'id="pad"' not in text
    assert data_of(text)["network"] is None
    assert "What the layers make of the first validation image" in text, "which evaluate draws"


def test_without_validation_the_feature_maps_are_of_a_test_image(finished):
    finished(shape=(96, 80, 3), validation=0)
    assert "What the layers make of the first test image" in page.render()


def test_a_network_that_does_not_fit_gets_no_panel_and_a_reason(finished):
    finished(dense_units=4600)
    assert "There is no panel" not in page.render()
    finished(dense_units=6000)
    text = page.render()
    assert "The network&#39;s 456,083 weights take 1,824,332 bytes. The page holds up to 1,400,000." in text
    assert len(text) < 3e6


def test_weights_and_sizes_are_those_of_keras(finished):
    finished(batch_norm=True, dense_units=7, padding="same", head="average", dropout=0.2)
    from cnn.network import saved

    model, read = saved.load_model(), network.read_network()
    assert [layer.name for layer in read.layers] == [layer.name for layer in model.layers]
    assert [layer.shape for layer in read.layers] == [layer.output.shape[1:] for layer in model.layers]
    ours = [array for layer in read.layers for array in layer.weights]
    assert tiny.digest(ours) == tiny.digest(model.get_weights())


def test_what_is_not_the_result_of_dvc_lock_is_said(finished):
    folder = finished()
    assert "Not the result that dvc.lock describes" not in page.render()
    with open(folder / "metrics/history.csv", "a") as file:
        file.write("4,0.2,0.9,0.3,0.9,0.001\n")
    text = page.render()
    assert "Not the result that dvc.lock describes" in text
    assert "Changed or missing: metrics/history.csv." in text


def test_parameters_that_changed_since_the_run_are_named(finished):
    folder = finished()
    assert "params.yaml has changed" not in page.render()
    text = (folder / "params.yaml").read_text()
    (folder / "params.yaml").write_text(text.replace("learning_rate: 0.001 ", "learning_rate: 3e-05 "))
    found = page.render()
    assert "params.yaml has changed since this run.</strong> Other values: train.learning_rate." in found
    assert "3e-05" not in found[found.index("<main") :], "the parameters shown are those of the run"


@pytest.mark.parametrize(
    ("shift", "flip", "copies"),
    [
        (0, False, None),
        (1, False, "copies moved by 1 pixels"),
        (0, True, "mirror images"),
        (2, True, "copies moved by 2 pixels and mirror images"),
    ],
)
def test_where_the_metrics_average_over_copies_the_panel_says_that_it_does_not(finished, shift, flip, copies):
    folder = finished()
    lock = yaml.safe_load((folder / "dvc.lock").read_text())
    lock["stages"]["evaluate"]["params"]["params.yaml"]["evaluate"] |= {"shift": shift, "flip": flip}
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock))
    found = re.findall(r"average over the image and its (.*); here the network sees the image once", page.render())
    assert found == [copies] * bool(copies)


def test_what_the_stages_read_is_named_as_dvc_lock_has_it(finished):
    finished()
    text = page.render()
    assert "data/local/mnist-5k<br>" in text
    assert "${" not in text[text.index('<section id="origin"') : text.index("</main>")]


@pytest.mark.parametrize(("classes", "fitted"), [(list("0123456789"), True), ([f"shoe {n}" for n in range(10)], False)])
def test_only_a_drawn_digit_is_laid_as_in_mnist(finished, classes, fitted):
    finished(classes=classes, shape=(28, 28, 1))
    text = page.render()
    assert ("as the images of MNIST were made" in text) is fitted
    assert f'"likeMnist": {str(fitted).lower()}' in text


def test_five_hundred_mistakes_are_shared_between_the_splits_and_the_surest_shown(finished, monkeypatch):
    finished()
    monkeypatch.setattr(gallery, "MOST", 20)
    found = results.read()
    shown = gallery.mistakes(found)
    for split in found.splits:
        table = found.of(split)
        wrong = table[table["actual"] != table["predicted"]]["confidence"].sort_values(ascending=False)
        here = [picture.confidence for picture in shown.shown if picture.split == split]
        assert here == wrong.tolist()[: len(here)]
        assert len(here) == 10 or len(here) == shown.counts[split]
    assert [picture.confidence for picture in shown.shown] == sorted((p.confidence for p in shown.shown), reverse=True)


def test_predictions_of_other_images_are_refused(finished):
    finished()
    pd.read_csv("metrics/predictions.csv")[:-1].to_csv("metrics/predictions.csv", index=False)
    with pytest.raises(InputError, match="expected a row for each of the 30 test images"):
        page.render()


@pytest.mark.parametrize(
    "path",
    [
        "data/model/model.keras",
        "metrics/details.csv",
        "metrics/classes.csv",
        "data/processed/test_images.npy",
        "dvc.lock",
    ],
)
def test_a_missing_file_is_one_clear_line(finished, path):
    folder = finished()
    (folder / path).unlink()
    ended = subprocess.run(
        [sys.executable, "-m", "cnn.report"],
        cwd=folder, env=tiny.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ended.returncode == 1
    assert re.fullmatch(r"report: .*" + re.escape(path) + r".*To go on: .*\n", ended.stderr)
    assert not (folder / "report.html").exists()


@pytest.mark.parametrize(
    ("path", "content", "said"),
    [
        ("metrics/predictions.csv", "index,actual\n1,2\n", "expected the columns split,index,image"),
        ("metrics/history.csv", "", "metrics/history.csv: expected a table"),
        ("data/processed/summary.json", "{}", "data/processed/summary.json: expected what preprocess writes"),
        ("data/processed/summary.json", "[", "data/processed/summary.json: expected what preprocess writes"),
        (
            "metrics/history.csv",
            "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate\n1,x,1,1,1,1\n",
            "numbers in loss.",
        ),
        (
            "metrics/predictions.csv",
            "split,index,image,actual,predicted,confidence,likelihood\ntest,0,ab,3,0,1,1\n",
            "metrics/predictions.csv: expected rows with classes from 0 to 2.",
        ),
        ("data/model/model.keras", "PK", "data/model/model.keras: expected a network"),
        ("dvc.lock", "stages: [", "dvc.lock: expected DVC's stages"),
        ("dvc.lock", "stages: {}", "dvc.lock: expected the stage download"),
    ],
)
def test_a_damaged_file_is_one_clear_line(finished, path, content, said):
    folder = finished()
    (folder / path).write_text(content)
    with pytest.raises(InputError, match=re.escape(said)):
        page.render()


def test_a_comparison_shows_verdict_parameters_metrics_and_images(finished):
    finished()
    changes = [
        {"image": "a" * 16, "index": 3, "actual": 0, "a": 1, "b": 0, "gained": True},
        {"image": "b" * 16, "index": 4, "actual": 2, "a": 2, "b": 1, "gained": False},
    ]
    rows = [verdict.Row("accuracy", 0.95, 0.96, 0.01, -0.005, 0.025), verdict.Row("loss", 0.2, 0.1, -0.1, -0.3, 0.1)]
    said = verdict.Comparison(
        "validation",
        "no evidence of a difference",
        "One image more.",
        Paired(20, 1, 1),
        0.51234,
        rows,
        pd.DataFrame(changes),
    )
    parameters = [
        {"name": "model.blocks.conv2.filters", "a": 64, "b": 128},
        {"name": "model.activation", "a": "relu", "b": "elu"},
    ]
    found = comparison.Compared("<main>", said, parameters, ["The seed's noise is not known."], changes)
    text = page.render(found)
    section = text[text.index('<section id="comparison"') : text.index('<section id="draw"')]
    assert "&lt;main&gt;" in section
    assert "<strong>no evidence of a difference</strong>" in section
    assert "p = 0.512" in section
    for cell in (
        "model.blocks.conv2.filters",
        ">128<",
        ">elu<",
        ">+0.0100<",
        "-0.0050 to +0.0250",
        ">-0.1000<",
        "noise is not known",
    ):
        assert cell in section
    assert (section.count("now right"), section.count("now wrong"), section.count("<img")) == (1, 1, 2)
    assert 'id="comparison"' not in page.render()
    assert "No parameter differs." in page.render(dataclasses.replace(found, parameters=[]))


def test_a_base_is_compared_on_the_validation_images(finished):
    folder = finished()
    identity = ["-c", "user.name=test", "-c", "user.email=test"]
    for command in (["init", "--quiet"], ["add", "."], [*identity, "commit", "--quiet", "--message=base"]):
        subprocess.run(["git", *command], check=True)
    table = pd.read_csv("metrics/predictions.csv", dtype={"image": str})
    validation = table["split"] == "validation"
    wrong = int((validation & (table["actual"] != table["predicted"])).sum())
    assert wrong > 6
    table.loc[validation, "predicted"] = table.loc[validation, "actual"]
    table.to_csv("metrics/predictions.csv", index=False)
    ended = subprocess.run(
        [sys.executable, "-m", "cnn.report", "--base", "HEAD"],
        env=tiny.environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")
    section = (folder / "report.html").read_text().split('<section id="comparison"')[1].split("</section>")[0]
    assert "<strong>better</strong>" in section
    assert (section.count("now right"), section.count("now wrong")) == (wrong, 0)
    assert "Judged on the validation images" in section
    assert "No parameter differs." in section


def test_bins_of_confidence_hold_all_images_and_give_the_calibration_error(finished):
    from cnn.results import metrics

    finished()
    table = results.read().of("test")
    bins = charts.reliability(table)
    assert sum(part.count for part in bins) == len(table)
    gap = sum(part.count * abs(part.accuracy - part.confidence) for part in bins) / len(table)
    confidence = table["confidence"].to_numpy()
    right = (table["actual"] == table["predicted"]).to_numpy()
    probabilities = np.stack([confidence, np.zeros_like(confidence)], axis=1)
    measured = metrics.measure(metrics.answers_of(probabilities, np.where(right, 0, 1)))
    assert gap == pytest.approx(measured["calibration_error"], abs=1e-6)


@pytest.mark.parametrize(("low", "high"), [(0, 1.16), (0.66, 1), (0.9414, 1), (1, 1), (0, 0), (1, 3000), (0, 1e-7)])
def test_ticks_are_even_and_enclose_the_values(low, high):
    ticks = charts.nice_ticks(low, high)
    assert ticks[0] <= low
    assert ticks[-1] >= high
    assert 2 <= len(ticks) <= 9
    assert np.allclose(np.diff(ticks), ticks[1] - ticks[0])


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_pictures_are_the_images_pixel_for_pixel(channels):
    import base64
    import io

    from PIL import Image

    image = np.random.default_rng(0).integers(0, 256, (5, 7, channels), np.uint8)
    png = Image.open(io.BytesIO(base64.b64decode(images.data_uri(image).partition(",")[2])))
    assert (np.asarray(png).reshape(image.shape) == image).all()


def test_a_large_image_is_shown_by_the_means_of_its_blocks():
    image = np.kron(np.arange(12, dtype=np.uint8).reshape(3, 4, 1), np.full((30, 30, 1), 2, np.uint8))
    small = images.thumbnail(image)
    assert max(small.shape) <= 64
    assert {int(small[0, 0, 0]), int(small[-1, -1, 0])} == {0, 22}
    assert images.thumbnail(np.zeros((300, 1, 3), np.uint8)).shape == (60, 1, 3)
