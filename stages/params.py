"""The schema of params.yaml, and its loader. `python -m stages.params` checks the file."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator

from stages import catalogue, errors, strict_yaml
from stages.errors import InputError

PARAMS = Path("params.yaml")
COLUMNS = ("filters", "kernel_sizes", "strides", "pool_sizes")

Count = Annotated[int, Field(gt=0)]
Column = Annotated[list[Count], Field(min_length=1, max_length=100)]
Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[Finite, Field(ge=0, lt=1)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Download(_Section):
    """Which data set, by its name in the catalogue."""

    dataset: str


class Preprocess(_Section):
    """How the images are split."""

    validation_fraction: Fraction
    test_fraction: Annotated[Finite, Field(gt=0, lt=1)]


class Model(_Section):
    """The network: one column per convolution block, then the dense layers."""

    filters: Column
    kernel_sizes: Column
    strides: Column
    pool_sizes: Column
    batch_norm: bool
    activation: Literal["relu", "leaky_relu", "elu", "softplus", "tanh", "sigmoid", "gelu"]
    padding: Literal["valid", "same"]
    head: Literal["flatten", "average"]
    dense_units: Annotated[list[Count], Field(max_length=100)]
    dropout: Fraction
    normalize: bool

    @model_validator(mode="before")
    @classmethod
    def _scalar_stands_for_column(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        depth = max((len(values[name]) for name in COLUMNS if isinstance(values.get(name), list)), default=1)
        is_scalar = {name: isinstance(values.get(name), (int, float)) for name in COLUMNS}
        return values | {name: [values[name]] * max(depth, 1) for name in COLUMNS if is_scalar[name]}

    @field_validator(*COLUMNS[1:])
    @classmethod
    def _columns_are_equally_long(cls, column: list[int], info: ValidationInfo) -> list[int]:
        filters = info.data.get("filters")
        if filters is not None and len(column) != len(filters):
            raise ValueError(f"expected {len(filters)} values, one per block as in model.filters, or a single number")
        return column

    def feature_maps(self, height: int, width: int) -> list[tuple[int, int]]:
        """The (height, width) after each block, for images of the size given.

        Raises ValueError where a kernel or a pool is larger than what it is laid upon.
        """
        sizes = []
        for block, (kernel, stride, pool) in enumerate(
            zip(self.kernel_sizes, self.strides, self.pool_sizes, strict=True), 1
        ):
            for part, window, step in (("kernel", kernel, stride), ("pool", pool, pool)):
                if part == "kernel" and self.padding == "same":
                    height, width = -(-height // step), -(-width // step)
                    continue
                if window > min(height, width):
                    raise ValueError(
                        f"block {block}: expected a feature map of at least {window} x {window} for its {part} of "
                        f"{window}. Received: {height} x {width}. Use fewer blocks, or smaller kernels, strides "
                        f"or pools before it."
                    )
                height, width = (height - window) // step + 1, (width - window) // step + 1
            sizes.append((height, width))
        return sizes


class Augment(_Section):
    """The largest random change of a training image, either way."""

    shift: Annotated[Finite, Field(ge=0, le=100)]  # pixels
    rotate: Annotated[Finite, Field(ge=0, le=180)]  # degrees
    zoom: Fraction  # share of the size
    shear: Fraction  # pixels to the side for each one down


class Train(_Section):
    """How the network is trained."""

    epochs: Count
    batch_size: Count
    optimizer: Literal["adam", "sgd"]
    learning_rate: Annotated[Finite, Field(gt=0)]
    schedule: Literal["constant", "one_cycle"]
    label_smoothing: Fraction
    augment: Augment
    checkpoint_seconds: Annotated[Finite, Field(gt=0)]
    determinism: Literal["portable", "machine", "off"]


class Evaluate(_Section):
    """How the network is measured."""

    batch_size: Count
    shift: Annotated[int, Field(ge=0, le=100)]  # pixels


class Params(_Section):
    """params.yaml, whole."""

    seed: Annotated[int, Field(ge=0, lt=2**32)]
    download: Download
    preprocess: Preprocess
    model: Model
    train: Train
    evaluate: Evaluate


def load_params(path: str | Path = PARAMS) -> Params:
    """Read and check params.yaml. Raises InputError that names every fault at once.

    The data set's name and the network's fit to its images are checked against the catalogue, so
    that a network that cannot be built is refused before anything is downloaded or trained.
    """
    document, faults = strict_yaml.load_yaml(path)
    params = None
    try:
        params = Params.model_validate(document)
    except ValidationError as error:
        faults += strict_yaml.describe(error, document, Params)
    faults += _cross_faults(document)
    if faults or not params:
        count = f"{len(faults)} fault{'s' if len(faults) > 1 else ''}"
        raise InputError("\n  ".join([f"{path} is not valid ({count}):", *faults]))
    return params


def _cross_faults(document: dict[str, Any]) -> list[str]:
    """Check what no section can say alone, also where other sections are at fault."""
    faults = []
    activation, determinism = _value(document, "model", "activation"), _value(document, "train", "determinism")
    if activation == "gelu" and determinism == "portable":
        faults.append(
            "model.activation: expected one whose bits are the same on every CPU. Received: 'gelu'. "
            "Take another one, or set train.determinism to 'machine'."
        )
    sources = catalogue.load_catalogue()
    name = _value(document, "download", "dataset")
    if not isinstance(name, str):
        return faults  # reported already
    if name not in sources:
        near = strict_yaml.near_miss(name, list(sources))
        return [*faults, f"download.dataset: expected a name in {catalogue.CATALOGUE}. Received: {name!r}.{near}"]
    try:
        height, width, _ = sources[name].shape
        Model.model_validate(document.get("model")).feature_maps(height, width)
    except ValidationError:
        pass  # reported already
    except ValueError as error:
        faults.append(f"model: {error}")
    return faults


def _value(document: dict[str, Any], section: str, key: str) -> Any:
    values = document.get(section)
    return values.get(key) if isinstance(values, dict) else None


def schema() -> str:
    """The JSON schema of params.yaml, for editors: the text of params.schema.json."""
    document = Params.model_json_schema()
    model = document["$defs"]["Model"]["properties"]
    for name in COLUMNS:  # the validator takes a scalar for a column; the editor should as well
        model[name] = {"title": model[name]["title"], "anyOf": [model[name]["items"], model[name]]}
    return json.dumps(document, indent=2) + "\n"


if __name__ == "__main__":
    with errors.reported("params"):
        if sys.argv[1:] == ["--schema"]:
            print(schema(), end="")
        else:
            load_params()
            print(f"{PARAMS}: valid")
