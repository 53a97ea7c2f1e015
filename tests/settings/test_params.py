"""Tests of cnn/settings/params.py and schema.py, and of faults.py, which words what is wrong."""

import copy
import json
import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from cnn.process.errors import InputError
from cnn.settings import params
from cnn.settings.params import load_params
from cnn.settings.schema import Model
from tests.tiny import LESSON, ROOT, blocks, fresh_python

EVERY_KEY = "missing. Expected a value: every key is required."
ACTIVATIONS = "'relu', 'leaky_relu', 'elu', 'softplus', 'tanh', 'sigmoid' or 'gelu'"
NO_INTEGER = "expected a valid integer. Received:"
NO_NUMBER = "expected a valid number. Received:"
NO_DATA_SET = "expected a name in data/sources.yaml. Received:"
GELU = (
    "expected one whose bits are the same on every CPU. Received: 'gelu'. "
    "Take another one, or set train.determinism to 'machine'."
)
BFLOAT16 = (
    "expected float32, whose bits are the same on every CPU. Received: 'bfloat16'. "
    "Take that, or set train.determinism to 'machine'."
)
SECTIONS = "download, preprocess, model, train, evaluate"
CONV2 = "model.blocks.conv2"
SMALLER = "Use fewer blocks, or smaller kernels, strides or pools before it."


@pytest.fixture(scope="module")
def load(tmp_path_factory):
    """Load a text, or bytes, as params.yaml."""
    path = tmp_path_factory.mktemp("params") / "params.yaml"

    def write_and_load(text):
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_params(path)

    write_and_load.path = path
    return write_and_load


def faults_of(load, text):
    """The faults that the error lists, below its title, which counts them."""
    with pytest.raises(InputError) as error:
        load(text)
    title, *faults = str(error.value).split("\n  ")
    assert title == f"{load.path} is not valid ({len(faults)} fault{'s' if len(faults) > 1 else ''}):"
    return faults


def test_the_committed_params_are_valid():
    assert list(load_params(ROOT / "params.yaml").model.blocks)[0] == "conv1"


def test_values_arrive_as_written(load, params_text):
    loaded = load(params_text)
    assert loaded.model_dump() == yaml.safe_load(params_text)
    assert isinstance(loaded.train.augment.shift, float), "a whole number stands for a float"


def test_the_two_seeds_are_independent(load, params_text):
    text = params_text.replace("seed: 42", "seed: 1", 1).replace("seed: 42", "seed: 2", 1)
    assert (load(text).preprocess.seed, load(text).train.seed) == (1, 2)


# The key, what is written for its value, and the fault.
VALUES = [
    # impossible
    ("preprocess.seed", "-3", "expected greater than or equal to 0. Received: -3."),
    ("train.seed", "4294967296", "expected less than 4294967296. Received: 4294967296."),
    ("train.epochs", "0", "expected greater than 0. Received: 0."),
    ("model.dense_units", "-1", "expected greater than or equal to 0. Received: -1."),
    ("model.dropout", "1", "expected less than 1. Received: 1."),
    ("train.learning_rate", "0", "expected greater than 0. Received: 0."),
    ("train.learning_rate", ".nan", "expected a finite number. Received: nan."),
    ("train.learning_rate", ".inf", "expected a finite number. Received: inf."),
    ("train.learning_rate", "-.inf", "expected a finite number. Received: -inf."),
    ("train.checkpoint_seconds", "0.0", "expected greater than 0. Received: 0.0."),
    ("preprocess.validation_fraction", "1", "expected less than 1. Received: 1."),
    ("preprocess.test_fraction", "0", "expected greater than 0. Received: 0."),
    ("evaluate.shift", "-1", "expected greater than or equal to 0. Received: -1."),
    ("evaluate.shift", "28", "expected less than the 28 pixels of an image. Received: 28."),
    ("evaluate.shift", "100", "expected less than the 28 pixels of an image. Received: 100."),
    ("evaluate.shift", "101", "expected less than or equal to 100. Received: 101."),
    # slips of the hand
    ("train.epochs", "1000001", "expected less than or equal to 1000000. Received: 1000001."),
    ("train.batch_size", "0x100000", "expected less than or equal to 1000000. Received: 1048576."),
    ("evaluate.batch_size", "1000001", "expected less than or equal to 1000000. Received: 1000001."),
    ("model.dense_units", "1000001", "expected less than or equal to 1000000. Received: 1000001."),
    ("preprocess.unreadable_share", "1", "expected less than 1. Received: 1."),
    # of a wrong type
    ("train.seed", "true", f"{NO_INTEGER} True."),
    ("train.seed", "42.0", f"{NO_INTEGER} 42.0."),
    ("train.seed", "", f"{NO_INTEGER} None."),
    ("train.epochs", "1e3", f"{NO_INTEGER} 1000.0."),
    ("model.dense_units", "[64]", f"{NO_INTEGER} [64]."),
    ("model.dropout", "false", f"{NO_NUMBER} False."),
    ("model.batch_norm", "0", "expected a valid boolean. Received: 0."),
    ("model.batch_norm", "no", "expected a valid boolean. Received: 'no'."),
    ("download.dataset", "5", "expected a valid string. Received: 5."),
    ("train.augment", "5", "expected keys with values. Received: 5."),
    ("train.augment", "[]", "expected keys with values. Received: []."),
    # numbers in quotes
    ("train.learning_rate", "'1e-3'", f"{NO_NUMBER} '1e-3'. Write it without quotes."),
    ("train.learning_rate", "'5'", f"{NO_NUMBER} '5'. Write it without quotes."),
    ("train.epochs", "'5'", f"{NO_INTEGER} '5'. Write it without quotes."),
    # and text that would be no number, or not the right one, without them
    ("train.learning_rate", "nan", f"{NO_NUMBER} 'nan'."),
    ("train.learning_rate", "1:30", f"{NO_NUMBER} '1:30'."),
    ("train.epochs", "'5.5'", f"{NO_INTEGER} '5.5'."),
    ("train.epochs", "'1e3'", f"{NO_INTEGER} '1e3'."),
    ("train.epochs", "1_000", f"{NO_INTEGER} '1_000'."),
    # names
    ("model.activation", "rellu", f"expected {ACTIVATIONS}. Received: 'rellu'. Did you mean 'relu'?"),
    ("train.optimizer", "adamw", "expected 'adam' or 'sgd'. Received: 'adamw'. Did you mean 'adam'?"),
    ("download.dataset", "mnist5k", f"{NO_DATA_SET} 'mnist5k'. Did you mean 'mnist-5k'?"),
    ("model.activation", "gelu", GELU),
    ("train.precision", "bfloat16", BFLOAT16),
    ("train.precision", "float16", "expected 'float32' or 'bfloat16'. Received: 'float16'. Did you mean 'bfloat16'?"),
    (
        "train.determinism",
        "off",
        "expected 'portable' or 'machine'. Received: 'off'. Expected one of: portable, machine.",
    ),
]
# The cell of a block, what is written there, and the fault.
CELLS = [
    ("conv2.filters", -3, "expected greater than 0. Received: -3."),
    ("conv2.filters", "[32, 64]", f"{NO_INTEGER} [32, 64]."),
    ("conv2.filters", 1_000_001, "expected less than or equal to 1000000. Received: 1000001."),
    ("conv1.stride", 0, "expected greater than 0. Received: 0."),
    ("conv3.pool_size", 0, "expected greater than 0. Received: 0."),
    ("conv1.kernel_size", "true", f"{NO_INTEGER} True."),
    ("conv1.kernel_size", ".nan", f"{NO_INTEGER} nan."),
    ("conv1.kernel_size", "'3'", f"{NO_INTEGER} '3'. Write it without quotes."),
    # larger than what they are laid upon
    ("conv1.kernel_size", 29, f"expected at most 28: its feature map is 28 x 28. Received: 29. {SMALLER}"),
    ("conv3.kernel_size", 6, f"expected at most 5: its feature map is 5 x 5. Received: 6. {SMALLER}"),
    ("conv3.pool_size", 4, f"expected at most 3: its feature map is 3 x 3. Received: 4. {SMALLER}"),
]
ROWS = "model.blocks: expected rows conv1, conv2, conv3, in this order. Received:"
# Part of the text, what stands there instead, and the fault.
KEYS = [
    ("epochs: 5", "epochs: 5\n  epochs: 6", "epochs: the key stands twice, in lines {line} and {next}: keep one."),
    ("  optimizer: adam ", "  # ", f"train.optimizer: {EVERY_KEY}"),
    ("download:\n  dataset: mnist-5k ", "# ", f"download: {EVERY_KEY}"),
    ("download:", "modle: {}\ndownload:", "modle: unknown key. Did you mean 'model'?"),
    ("download:", "seed: 42\ndownload:", f"seed: unknown key. Expected one of: {SECTIONS}."),
    (
        "    rotate: 0",
        "    turn: 0\n    rotate: 0",
        "train.augment.turn: unknown key. Expected one of: shift, crop, rotate, zoom, shear, flip, brightness, "
        "contrast, saturation.",
    ),
    ("download:", "7: 1\ndownload:", "7: Keys should be strings. Received: 1."),
    # the rows of the network
    ("conv2:", "conv4:", f"{ROWS} conv1, conv4, conv3."),
    ("conv2:", "Conv2:", f"{ROWS} conv1, Conv2, conv3."),
    ("conv1:", "conv0:", f"{ROWS} conv0, conv2, conv3."),
    ("conv3:", "conv03:", f"{ROWS} conv1, conv2, conv03."),
    ("conv3:", "dense:", f"{ROWS} conv1, conv2, dense."),
    ("conv2:", "2:", "model.blocks: expected text for each key. Received: 2."),
    ("conv2:", "conv1:", "conv1: the key stands twice, in lines {before} and {line}: keep one."),
    ("conv2: {", "conv2: {stride: 1, ", "stride: the key stands twice, in lines {line} and {line}: keep one."),
    (
        "conv2: {filters: 64",
        "conv2: {filtres: 64, filters: 64",
        f"{CONV2}.filtres: unknown key. Did you mean 'filters'?",
    ),
    (
        "conv2: {",
        "conv2: {x: 1, ",
        f"{CONV2}.x: unknown key. Expected one of: filters, kernel_size, stride, pool_size.",
    ),
    ("conv2: {filters: 64, ", "conv2: {", f"{CONV2}.filters: {EVERY_KEY}"),
    ("conv2: {", "conv2: 5  # {", f"{CONV2}: expected keys with values. Received: 5."),
    ("conv2: {", "conv2:  # {", f"{CONV2}: expected keys with values. Received: None."),
]


def with_value(text, path, value):
    """The text of params.yaml with another value for a key of one of its sections, `section.key`, and all below it."""
    section, key = path.split(".")
    pattern = rf"(?ms)^({section}:\n.*?^  {key}:) [^\n]*(\n    [^\n]*)*$"
    text, count = re.subn(pattern, lambda match: f"{match[1]} {value}", text, count=1)
    assert count == 1
    return text


@pytest.mark.parametrize(("path", "value", "fault"), VALUES, ids=[f"{path}: {value}" for path, value, _ in VALUES])
def test_a_wrong_value_is_named_with_path_expected_and_received(load, params_text, path, value, fault):
    assert faults_of(load, with_value(params_text, path, value)) == [f"{path}: {fault}"]


@pytest.mark.parametrize(("cell", "value", "fault"), CELLS, ids=[f"{cell}: {value}" for cell, value, _ in CELLS])
def test_a_wrong_cell_of_the_network_is_named_by_its_row_and_column(load, params_text, cell, value, fault):
    row, column = cell.split(".")
    text, count = re.subn(rf"({row}: .*\b{column}:) \d+", rf"\1 {value}", params_text)
    assert count == 1
    assert faults_of(load, text) == [f"model.blocks.{cell}: {fault}"]


@pytest.mark.parametrize(("part", "instead", "fault"), KEYS, ids=[instead for _, instead, _ in KEYS])
def test_a_wrong_key_is_named_with_what_to_do(load, params_text, part, instead, fault):
    assert params_text.count(part) == 1
    line = params_text[: params_text.index(part)].count("\n") + 1
    expected = fault.format(before=line - 1, line=line, next=line + 1)
    assert expected in faults_of(load, params_text.replace(part, instead))
    assert faults_of(load, params_text.replace(part, instead))[0] == expected


@pytest.mark.parametrize(
    ("rows", "received"),
    [
        (["conv2", "conv1"], "conv2, conv1"),
        (["conv1", "conv3"], "conv1, conv3"),
        (["conv2", "conv3"], "conv2, conv3"),
        (["conv1", "conv"], "conv1, conv"),
    ],
)
def test_rows_are_numbered_from_1_in_order_and_without_a_gap(load, rows, received):
    row = blocks([4])["conv1"]
    document = LESSON | {"model": LESSON["model"] | {"blocks": dict.fromkeys(rows, row)}}
    expected = f"model.blocks: expected rows conv1, conv2, in this order. Received: {received}."
    assert faults_of(load, yaml.safe_dump(document, sort_keys=False)) == [expected]


@pytest.mark.parametrize(
    ("value", "fault"),
    [
        ({}, "Dictionary should have at least 1 item after validation, not 0. Received: {}."),
        ([blocks([4])["conv1"]], "expected keys with values. Received: " + repr([blocks([4])["conv1"]]) + "."),
        (3, "expected keys with values. Received: 3."),
        (None, "expected keys with values. Received: None."),
    ],
)
def test_blocks_that_are_no_rows_are_refused(load, value, fault):
    document = LESSON | {"model": LESSON["model"] | {"blocks": value}}
    assert faults_of(load, yaml.safe_dump(document, sort_keys=False)) == [f"model.blocks: {fault}"]


def test_ten_rows_are_in_the_order_of_their_numbers(load):
    rows = blocks(list(range(1, 12)), kernel_size=1)
    document = LESSON | {"model": LESSON["model"] | {"blocks": rows}}
    loaded = load(yaml.safe_dump(document, sort_keys=False))
    assert [block.filters for block in loaded.model.blocks.values()] == list(range(1, 12))


def test_more_than_a_hundred_rows_are_refused(load):
    document = LESSON | {"model": LESSON["model"] | {"blocks": blocks([1] * 101, kernel_size=1)}}
    (fault,) = faults_of(load, yaml.safe_dump(document, sort_keys=False))
    assert fault.startswith("model.blocks: Dictionary should have at most 100 items after validation, not more.")


@pytest.mark.parametrize(
    ("cell", "value", "fault"),
    [
        ("height", 0, "expected greater than 0. Received: 0."),
        ("width", 4097, "expected less than or equal to 4096. Received: 4097."),
        ("channels", 2, "expected 1 or 3. Received: 2."),
    ],
)
def test_a_wrong_size_of_the_images_is_named(load, params_text, cell, value, fault):
    text, count = re.subn(rf"(  image: .*\b{cell}:) \d+", rf"\1 {value}", params_text)
    assert count == 1
    assert faults_of(load, text) == [f"preprocess.image.{cell}: {fault}"]


def test_the_network_is_held_against_the_size_of_the_images(load, params_text):
    small = params_text.replace("{height: 28, width: 28,", "{height: 28, width: 8,")
    (fault,) = faults_of(load, small)
    assert fault.startswith("model.blocks.conv2.pool_size: expected at most 1: its feature map is ")
    assert load(params_text.replace("{height: 28, width: 28,", "{height: 40, width: 60,")).preprocess.image.width == 60


def test_no_dense_layer_and_a_million_units_are_the_bounds(load, params_text):
    assert load(with_value(params_text, "model.dense_units", "0")).model.dense_units == 0
    assert load(with_value(params_text, "model.dense_units", "1000000")).model.dense_units == 1_000_000


def test_views_may_be_shifted_by_less_than_the_side_of_an_image(load, params_text):
    assert load(with_value(params_text, "evaluate.shift", "27")).evaluate.shift == 27


@pytest.mark.parametrize("written", ["1e-3", "1.e-3", "0.001", ".001", "+1E-03"])
def test_a_float_may_be_written_in_each_way_of_yaml_1_2(load, params_text, written):
    assert load(with_value(params_text, "train.learning_rate", written)).train.learning_rate == 0.001


def test_all_faults_are_reported_at_once(load, params_text):
    changes = {
        "download:\n": "sead: 42\ndownload:\n",
        "dataset: mnist-5k": "dataset: minst",
        "validation_fraction: 0.1": "validation_fraction: 2",
        "conv1: {filters: 32": "conv1: {filters: 0",
        "activation: relu": "activation: gelu",
        "epochs: 5": "epochs: 1.5\n  epochs: 2.5",
    }
    text = params_text
    for part, instead in changes.items():
        assert part in text
        text = text.replace(part, instead)
    line = text[: text.index("epochs: 1.5")].count("\n") + 1
    assert sorted(faults_of(load, text)) == [
        f"download.dataset: {NO_DATA_SET} 'minst'. Did you mean 'mnist'?",
        f"epochs: the key stands twice, in lines {line} and {line + 1}: keep one.",
        f"model.activation: {GELU}",
        "model.blocks.conv1.filters: expected greater than 0. Received: 0.",
        "preprocess.validation_fraction: expected less than 1. Received: 2.",
        f"sead: unknown key. Expected one of: {SECTIONS}.",
        "train.epochs: expected a valid integer. Received: 2.5.",
    ]


def test_what_has_other_bits_elsewhere_is_accepted_where_they_may_differ(load, params_text):
    text = with_value(with_value(params_text, "model.activation", "gelu"), "train.precision", "bfloat16")
    loaded = load(with_value(text, "train.determinism", "machine"))
    assert (loaded.model.activation, loaded.train.precision) == ("gelu", "bfloat16")


def test_a_number_of_more_digits_than_python_prints_is_refused(load, params_text):
    text = with_value(params_text, "train.seed", "0x" + "f" * 5000)
    assert faults_of(load, text) == ["train.seed: expected less than 4294967296. Received: a huge number."]


def test_merge_keys_of_yaml_work_and_their_keys_may_be_overridden(load, params_text):
    text = params_text.replace("evaluate:\n", "evaluate:\n  <<: {batch_size: 7}\n")
    assert load(text).evaluate.batch_size == 1000


def test_a_missing_file_is_told_with_the_directory_it_was_expected_in(tmp_path):
    done = fresh_python("import runpy; runpy.run_module('cnn.settings.params', run_name='__main__')", cwd=tmp_path)
    message = f"params: expected the file params.yaml in {tmp_path}: run from the project's root.\n"
    assert (done.returncode, done.stderr) == (1, message)


def test_the_program_checks_the_file_in_the_current_directory(load, params_text, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/sources.yaml").write_bytes((ROOT / "data/sources.yaml").read_bytes())
    (tmp_path / "params.yaml").write_text(params_text)
    program = "import runpy; runpy.run_module('cnn.settings.params', run_name='__main__')"
    done = fresh_python(program, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "params.yaml: valid\n", "")
    (tmp_path / "params.yaml").write_text(params_text.replace("epochs: 5", "epochs: 0"))
    done = fresh_python(program, cwd=tmp_path)
    fault = "params: params.yaml is not valid (1 fault):\n  train.epochs: expected greater than 0. Received: 0.\n"
    assert (done.returncode, done.stdout, done.stderr) == (1, "", fault)


def test_feature_maps_of_the_lesson(load, params_text):
    assert load(params_text).model.feature_maps(28, 28) == [(13, 13), (5, 5), (3, 3)]


@given(
    padding=st.sampled_from(["valid", "same"]),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 6),
    pool=st.integers(1, 6),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_feature_maps_count_the_places_where_the_windows_fit(padding, kernel, stride, pool, size):
    row = blocks([1], kernel, stride, pool)
    model = Model.model_validate(LESSON["model"] | {"blocks": row, "padding": padding})

    def places(length):
        steps = range(0, length if padding == "same" else length - kernel + 1, stride)
        return len(range(0, len(steps) - pool + 1, pool))

    expected = tuple(map(places, size))
    if 0 in expected:
        with pytest.raises(
            ValueError, match=r"^blocks\.conv1\.(kernel|pool)_size: expected at most \d+: its feature map is"
        ):
            model.feature_maps(*size)
    else:
        assert model.feature_maps(*size) == [expected]


def test_the_committed_schema_is_that_of_the_code():
    assert (ROOT / "params.schema.json").read_text() == params.json_schema()


def test_the_schema_asks_for_every_key_and_allows_no_other():
    sections = json.loads(params.json_schema())["$defs"].values()
    assert len(sections) == 8
    for section in sections:
        assert (section["required"], section["additionalProperties"]) == (list(section["properties"]), False)


# -- generated documents --

# No key of params.yaml takes one of these.
WRONG = st.one_of(
    st.none(),
    st.integers(max_value=-1),
    st.floats(max_value=-0.001),
    st.sampled_from([float("nan"), float("inf")]),
    st.dates(),
    st.text().map(lambda text: f"?{text}"),
    st.dictionaries(st.text(max_size=3).map(lambda text: f"?{text}"), st.integers(), max_size=2),
    st.lists(st.none() | st.integers(max_value=0), min_size=1, max_size=4),
)


def paths(value, path=()):
    """The location of every value in a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield *path, key
        yield from paths(inner, (*path, key))


def dotted(path):
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")


@given(data=st.data())
def test_a_wrong_value_anywhere_is_one_error_that_names_its_path(load, data):
    document = copy.deepcopy(LESSON)
    path = data.draw(st.sampled_from(list(paths(document))))
    inner = document
    for part in path[:-1]:
        inner = inner[part]
    is_row = path[:-1] == ("model", "blocks")  # the last one may go
    if isinstance(inner, dict) and not is_row and data.draw(st.booleans()):
        del inner[path[-1]]
    else:
        inner[path[-1]] = data.draw(WRONG)
    faults = faults_of(load, yaml.safe_dump(document, allow_unicode=True))
    assert any(fault.startswith(dotted(path)) for fault in faults), faults


@given(data=st.data())
def test_a_damaged_text_loads_or_is_an_input_error(load, params_text, data):
    content = params_text.encode()
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(content)))
        removed = data.draw(st.integers(0, 20))
        added = data.draw(st.binary(max_size=4) | st.sampled_from([b"\0", b"\xc2\x85", b"!!", b"- ", b": ", b"\n"]))
        content = content[:place] + added + content[place + removed :]
    try:
        load(content)
    except InputError as error:
        assert str(load.path) in str(error)


def rows(depth):
    """Blocks that shrink 28 pixels to no less than one."""
    columns = {"filters": 512, "kernel_size": 3, "stride": 2, "pool_size": 2 if depth == 1 else 1}
    row = st.fixed_dictionaries({name: st.integers(1, largest) for name, largest in columns.items()})
    return st.fixed_dictionaries({f"conv{number}": row for number in range(1, depth + 1)})


@given(
    blocks=st.integers(1, 3).flatmap(rows),
    fractions=st.tuples(st.floats(0, 0.99), st.floats(0.01, 0.99)),
    dense_units=st.integers(0, 1_000_000),
    learning_rate=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    seeds=st.tuples(st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1)),
)
def test_valid_documents_load_with_their_values(load, blocks, fractions, dense_units, learning_rate, seeds):
    document = copy.deepcopy(LESSON)
    document["preprocess"] |= dict(zip(("validation_fraction", "test_fraction"), fractions, strict=True))
    document["preprocess"]["seed"], document["train"]["seed"] = seeds
    document["model"] |= {"blocks": blocks, "dense_units": dense_units}
    document["train"]["learning_rate"] = learning_rate
    assert load(yaml.safe_dump(document)).model_dump() == document
