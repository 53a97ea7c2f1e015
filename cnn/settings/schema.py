"""The schema of params.yaml: every key, its type and its range."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

Count = Annotated[int, Field(gt=0, le=1_000_000)]  # above it, a number is a slip of the hand
Finite = Annotated[float, Field(allow_inf_nan=False)]
Fraction = Annotated[Finite, Field(ge=0, lt=1)]
Side = Annotated[int, Field(gt=0, le=4096)]  # pixels
Seed = Annotated[int, Field(ge=0, lt=2**32)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Download(_Section):
    """Which data set, by its name in the catalogue."""

    dataset: str


class Image(_Section):
    """The size of every image that the network sees. channels: 1 grey, 3 red, green, blue."""

    height: Side
    width: Side
    channels: Literal[1, 3]

    @property
    def shape(self) -> tuple[int, int, int]:
        return self.height, self.width, self.channels


class Preprocess(_Section):
    """How the images are read and split. seed: which images are in which split."""

    seed: Seed
    validation_fraction: Fraction
    test_fraction: Annotated[Finite, Field(gt=0, lt=1)]
    image: Image
    fit: Literal["pad", "crop", "stretch"]
    unreadable_share: Fraction
    duplicates: Literal["error", "drop"]


class Block(_Section):
    """A convolution, and the max pooling after it (pool_size 1: none)."""

    filters: Count
    kernel_size: Count
    stride: Count
    pool_size: Count


class Model(_Section):
    """The network: a row per convolution block, named conv1, conv2, … in order, then the dense layers."""

    blocks: Annotated[dict[str, Block], Field(min_length=1, max_length=100)]
    batch_norm: bool
    activation: Literal["relu", "leaky_relu", "elu", "softplus", "tanh", "sigmoid", "gelu"]
    padding: Literal["valid", "same"]
    head: Literal["flatten", "average"]
    dense_units: Annotated[int, Field(ge=0, le=1_000_000)]
    dropout: Fraction
    normalize: bool

    @field_validator("blocks")
    @classmethod
    def _rows_are_numbered(cls, blocks: dict[str, Block]) -> dict[str, Block]:
        expected = [f"conv{number}" for number in range(1, len(blocks) + 1)]
        if list(blocks) != expected:
            raise ValueError(f"expected rows {', '.join(expected)}, in this order")
        return blocks

    def feature_maps(self, height: int, width: int) -> list[tuple[int, int]]:
        """(height, width) after each block. Raises ValueError where a window is larger than what it is laid upon."""
        sizes = []
        for name, block in self.blocks.items():
            if self.padding == "same":
                height, width = -(-height // block.stride), -(-width // block.stride)
            else:
                height, width = _places(name, "kernel_size", block.kernel_size, block.stride, height, width)
            height, width = _places(name, "pool_size", block.pool_size, block.pool_size, height, width)
            sizes.append((height, width))
        return sizes


def _places(name: str, key: str, window: int, stride: int, height: int, width: int) -> tuple[int, int]:
    """How often a window fits, down and across. Raises ValueError where it does not."""
    if window > min(height, width):
        raise ValueError(
            f"blocks.{name}.{key}: expected at most {min(height, width)}: its feature map is {height} x {width}. "
            f"Received: {window}. Use fewer blocks, or smaller kernels, strides or pools before it."
        )
    return (height - window) // stride + 1, (width - window) // stride + 1


class Augment(_Section):
    """The largest random change of a training image, either way; flip: mirrored left-right, one image in two."""

    shift: Annotated[Finite, Field(ge=0, le=100)]  # pixels
    crop: Annotated[int, Field(ge=0, le=100)]  # whole pixels
    rotate: Annotated[Finite, Field(ge=0, le=180)]  # degrees
    zoom: Fraction  # share of the size
    shear: Fraction  # pixels to the side for each one down
    flip: bool
    brightness: Fraction  # share of it; likewise the next two
    contrast: Fraction
    saturation: Fraction


class Train(_Section):
    """How the network is trained. seed: initial weights, order, dropout, augmentation."""

    seed: Seed
    epochs: Count
    epoch_share: Annotated[Finite, Field(gt=0, le=1)]
    batch_size: Count
    shards: Count
    optimizer: Literal["adam", "sgd"]
    learning_rate: Annotated[Finite, Field(gt=0)]
    weight_decay: Fraction
    schedule: Literal["constant", "one_cycle"]
    label_smoothing: Fraction
    class_weights: Literal["none", "balanced"]
    augment: Augment
    checkpoint_seconds: Annotated[Finite, Field(gt=0)]
    precision: Literal["float32", "bfloat16"]
    determinism: Literal["portable", "machine"]


class Evaluate(_Section):
    """How the network is measured."""

    batch_size: Count
    shift: Annotated[int, Field(ge=0, le=100)]  # pixels
    flip: bool


class Params(_Section):
    """params.yaml, whole."""

    download: Download
    preprocess: Preprocess
    model: Model
    train: Train
    evaluate: Evaluate
