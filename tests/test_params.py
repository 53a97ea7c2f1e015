"""Tests of stages/params.py and of stages/strict_yaml.py, which words its faults."""

import re

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stages import params
from stages.errors import InputError
from stages.params import Model, load_params
from tests.tiny import ROOT, fresh_python

EVERY_KEY = "missing. Expected a value: every key is required."
ACTIVATIONS = "'relu', 'leaky_relu', 'elu', 'softplus', 'tanh', 'sigmoid' or 'gelu'"
NO_INTEGER = "expected a valid integer. Received:"
NO_NUMBER = "expected a valid number. Received:"
NO_DATA_SET = "expected a name in data/sources.yaml. Received:"
GELU = (
    "model.activation: expected one whose bits are the same on every CPU. Received: 'gelu'. "
    "Take another one, or set train.determinism to 'machine'."
)
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
    assert load_params(ROOT / "params.yaml").model.filters


def test_values_arrive_as_written(load, params_text):
    loaded = load(params_text)
    assert loaded.model_dump() == yaml.safe_load(params_text)
    assert isinstance(loaded.train.augment.shift, float), "a whole number stands for a float"


# What is written for a key's value, and the fault.
VALUES = [
    # impossible
    ("seed: -3", "seed: expected greater than or equal to 0. Received: -3."),
    ("seed: 4294967296", "seed: expected less than 4294967296. Received: 4294967296."),
    ("filters: [32, -3, 64]", "model.filters[1]: expected greater than 0. Received: -3."),
    ("strides: 0", "model.strides: expected greater than 0. Received: 0."),
    ("dense_units: [64, 0]", "model.dense_units[1]: expected greater than 0. Received: 0."),
    ("epochs: 0", "train.epochs: expected greater than 0. Received: 0."),
    ("dropout: 1", "model.dropout: expected less than 1. Received: 1."),
    ("learning_rate: 0", "train.learning_rate: expected greater than 0. Received: 0."),
    ("learning_rate: .nan", "train.learning_rate: expected a finite number. Received: nan."),
    ("learning_rate: .inf", "train.learning_rate: expected a finite number. Received: inf."),
    ("learning_rate: -.inf", "train.learning_rate: expected a finite number. Received: -inf."),
    ("validation_fraction: 1", "preprocess.validation_fraction: expected less than 1. Received: 1."),
    ("test_fraction: 0", "preprocess.test_fraction: expected greater than 0. Received: 0."),
    (
        "augment: {shift: 101, rotate: 0, zoom: 0.0, shear: 0.0}",
        "train.augment.shift: expected less than or equal to 100. Received: 101.",
    ),
    # of a wrong type
    ("seed: true", "seed: expected a valid integer. Received: True."),
    ("seed: 42.0", "seed: expected a valid integer. Received: 42.0."),
    ("seed:", "seed: expected a valid integer. Received: None."),
    ("dropout: false", "model.dropout: expected a valid number. Received: False."),
    ("batch_norm: 0", "model.batch_norm: expected a valid boolean. Received: 0."),
    ("kernel_sizes: true", "model.kernel_sizes: expected a valid integer. Received: True."),
    ("kernel_sizes: .nan", "model.kernel_sizes: expected a valid integer. Received: nan."),
    ("kernel_sizes: '3'", "model.kernel_sizes: expected a valid list. Received: '3'."),
    ("dense_units: 64", "model.dense_units: expected a valid list. Received: 64."),
    ("dataset: 5", "download.dataset: expected a valid string. Received: 5."),
    ("augment: 5", "train.augment: expected a valid dictionary or instance of Augment. Received: 5."),
    # numbers that YAML takes for text
    ("learning_rate: 1e-3", f"train.learning_rate: {NO_NUMBER} '1e-3'. YAML reads 1e-3 as text; write 0.001."),
    ("learning_rate: '0.01'", f"train.learning_rate: {NO_NUMBER} '0.01'. YAML reads 0.01 as text; write 0.01."),
    ("epochs: '5'", f"train.epochs: {NO_INTEGER} '5'. YAML reads 5 as text; write 5."),
    ("epochs: 1e3", f"train.epochs: {NO_INTEGER} '1e3'. YAML reads 1e3 as text; write 1000."),
    # and text that no number could stand for: there is nothing to write instead
    ("learning_rate: nan", f"train.learning_rate: {NO_NUMBER} 'nan'."),
    ("epochs: '5.5'", f"train.epochs: {NO_INTEGER} '5.5'."),
    # columns
    ("filters: []", "model.filters: List should have at least 1 item after validation, not 0. Received: []."),
    (
        "strides: [1, 1]",
        "model.strides: expected 3 values, one per block as in model.filters, or a single number. Received: [1, 1].",
    ),
    (
        "kernel_sizes: [3, 3, 30]",
        "model: block 3: expected a feature map of at least 30 x 30 for its kernel of 30. Received: 5 x 5. " + SMALLER,
    ),
    (
        "pool_sizes: [2, 2, 4]",
        "model: block 3: expected a feature map of at least 4 x 4 for its pool of 4. Received: 3 x 3. " + SMALLER,
    ),
    # names
    ("activation: rellu", f"model.activation: expected {ACTIVATIONS}. Received: 'rellu'. Did you mean 'relu'?"),
    ("optimizer: adamw", "train.optimizer: expected 'adam' or 'sgd'. Received: 'adamw'. Did you mean 'adam'?"),
    ("dataset: mnist5k", f"download.dataset: {NO_DATA_SET} 'mnist5k'. Did you mean 'mnist-5k'?"),
    ("activation: gelu", GELU),
]
# Part of the text, what stands there instead, and the fault.
KEYS = [
    ("epochs: 5", "epochs: 5\n  epochs: 6", "epochs: the key stands twice, in lines 20 and 21: keep one."),
    ("  optimizer: adam\n", "", f"train.optimizer: {EVERY_KEY}"),
    ("download:\n  dataset: mnist-5k\n", "", f"download: {EVERY_KEY}"),
    ("seed: 42", "seed: 42\nmodle: {}", "modle: unknown key. Did you mean 'model'?"),
    (
        "{shift: 0",
        "{turn: 0, shift: 0",
        "train.augment.turn: unknown key. Expected one of: shift, rotate, zoom, shear.",
    ),
    ("seed: 42", "seed: 42\n7: 1", "7: Keys should be strings. Received: 1."),
]


@pytest.mark.parametrize(("line", "fault"), VALUES, ids=[line for line, _ in VALUES])
def test_a_wrong_value_is_named_with_path_expected_and_received(load, params_text, line, fault):
    key = line.split(":")[0]
    text, count = re.subn(rf"^( *){key}: .*$", rf"\1{line}", params_text, flags=re.MULTILINE)
    assert count == 1
    assert faults_of(load, text) == [fault]


@pytest.mark.parametrize(("part", "instead", "fault"), KEYS, ids=[fault for _, _, fault in KEYS])
def test_a_wrong_key_is_named_with_what_to_do(load, params_text, part, instead, fault):
    assert params_text.count(part) == 1
    assert faults_of(load, params_text.replace(part, instead)) == [fault]


def test_all_faults_are_reported_at_once(load, params_text):
    changes = {
        "seed: 42": "sed: 42",
        "dataset: mnist-5k": "dataset: minst",
        "validation_fraction: 0.1": "validation_fraction: 2",
        "activation: relu": "activation: gelu",
        "epochs: 5": "epochs: 1.5\n  epochs: 2.5",
    }
    text = params_text
    for part, instead in changes.items():
        text = text.replace(part, instead)
    assert sorted(faults_of(load, text)) == [
        f"download.dataset: {NO_DATA_SET} 'minst'. Did you mean 'mnist'?",
        "epochs: the key stands twice, in lines 20 and 21: keep one.",
        GELU,
        "preprocess.validation_fraction: expected less than 1. Received: 2.",
        "sed: unknown key. Did you mean 'seed'?",
        f"seed: {EVERY_KEY}",
        "train.epochs: expected a valid integer. Received: 2.5.",
    ]


def test_gelu_is_accepted_where_bits_may_differ(load, params_text):
    text = params_text.replace("activation: relu", "activation: gelu")
    assert load(text.replace("determinism: portable", "determinism: machine")).model.activation == "gelu"


@pytest.mark.parametrize(
    ("content", "error"),
    [
        ("", "{path}: expected keys with values. Received: None."),
        ("[1, 2]", "{path}: expected keys with values. Received: [1, 2]."),
        (
            "a: [",
            "{path} is not YAML: while parsing a flow node expected the node content, but found '<stream end>' "
            'in "<unicode string>", line 1, column 5: a: [ ^',
        ),
        (b"seed: \xff", "{path} is not UTF-8 text: invalid start byte at byte 6."),
    ],
)
def test_what_is_no_mapping_in_yaml_is_refused(load, content, error):
    with pytest.raises(InputError) as caught:
        load(content)
    assert str(caught.value) == error.format(path=load.path)


@pytest.mark.parametrize(
    "text",
    [
        "seed: 42\0",
        "seed: 2020-13-45",  # YAML takes it for a date
        "seed: !!bool maybe",
        "seed: !!timestamp tomorrow",
        "seed: " + "9" * 5000,  # more digits than Python turns into an integer
        "seed: 0x" + "f" * 5000,  # and than it prints
        "seed: " + "[" * 5000,
    ],
    ids=lambda text: text[:20],
)
def test_what_breaks_the_yaml_reader_is_refused_as_well(load, text):
    with pytest.raises(InputError, match="params.yaml"):
        load(text)


def test_merge_keys_of_yaml_work_and_their_keys_may_be_overridden(load, params_text):
    text = params_text.replace("evaluate:\n", "evaluate:\n  <<: {batch_size: 7}\n")
    assert load(text).evaluate.batch_size == 1000


def test_a_missing_file_is_told_with_the_directory_it_was_expected_in(tmp_path):
    done = fresh_python("import runpy; runpy.run_module('stages.params', run_name='__main__')", cwd=tmp_path)
    message = f"params: expected the file params.yaml in {tmp_path}: run from the project's root.\n"
    assert (done.returncode, done.stderr) == (1, message)


def test_a_scalar_stands_for_a_whole_column(load, params_text):
    text = params_text.replace("[3, 3, 3]", "2").replace("[1, 1, 1]", "1")
    model = load(text).model
    assert (model.kernel_sizes, model.strides) == ([2, 2, 2], [1, 1, 1])


def test_all_scalars_make_one_block(load, params_text):
    text = params_text
    for column in ("[32, 64, 64]", "[3, 3, 3]", "[1, 1, 1]", "[2, 2, 1]"):
        text = text.replace(column, "2")
    model = load(text).model
    assert (model.filters, model.kernel_sizes, model.strides, model.pool_sizes) == ([2], [2], [2], [2])


def test_feature_maps_of_the_lesson(load, params_text):
    assert load(params_text).model.feature_maps(28, 28) == [(13, 13), (5, 5), (3, 3)]


@given(
    padding=st.sampled_from(["valid", "same"]),
    kernel=st.integers(1, 6),
    stride=st.integers(1, 6),
    pool=st.integers(1, 6),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
)
def test_feature_maps_count_the_places_where_the_windows_fit(params_text, padding, kernel, stride, pool, size):
    columns = {"filters": [1], "kernel_sizes": [kernel], "strides": [stride], "pool_sizes": [pool]}
    model = Model.model_validate(yaml.safe_load(params_text)["model"] | columns | {"padding": padding})

    def places(length):
        steps = range(0, length if padding == "same" else length - kernel + 1, stride)
        return len(range(0, len(steps) - pool + 1, pool))

    expected = tuple(map(places, size))
    if 0 in expected:
        with pytest.raises(ValueError, match="^block 1: expected a feature map of at least"):
            model.feature_maps(*size)
    else:
        assert model.feature_maps(*size) == [expected]


def test_the_committed_schema_is_that_of_the_code():
    assert (ROOT / "params.schema.json").read_text() == params.schema()


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
def test_a_wrong_value_anywhere_is_one_error_that_names_its_path(load, params_text, data):
    document = yaml.safe_load(params_text)
    path = data.draw(st.sampled_from(list(paths(document))))
    inner = document
    for part in path[:-1]:
        inner = inner[part]
    if isinstance(inner, dict) and data.draw(st.booleans()):
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


def columns(depth):
    """Blocks that shrink 28 pixels to no less than one: a scalar, or a value each."""
    shape = {"filters": 512, "kernel_sizes": 3, "strides": 2, "pool_sizes": 2 if depth == 1 else 1}
    values = {name: st.integers(1, largest) for name, largest in shape.items()}
    return st.fixed_dictionaries(
        {
            name: st.lists(value, min_size=depth, max_size=depth) | (st.nothing() if name == "filters" else value)
            for name, value in values.items()
        }
    )


@given(
    model=st.integers(1, 3).flatmap(columns),
    fractions=st.tuples(st.floats(0, 0.99), st.floats(0.01, 0.99)),
    dense_units=st.lists(st.integers(1, 999), max_size=3),
    learning_rate=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    seed=st.integers(0, 2**32 - 1),
)
def test_valid_documents_load_with_their_values(load, params_text, model, fractions, dense_units, learning_rate, seed):
    document = yaml.safe_load(params_text)
    document["seed"] = seed
    document["preprocess"] = dict(zip(("validation_fraction", "test_fraction"), fractions, strict=True))
    document["model"] |= model | {"dense_units": dense_units}
    document["train"]["learning_rate"] = learning_rate
    loaded = load(yaml.safe_dump(document)).model_dump()
    depth = len(model["filters"])
    document["model"] |= {name: value if isinstance(value, list) else [value] * depth for name, value in model.items()}
    assert loaded == document
