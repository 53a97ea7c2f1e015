"""The saved network, read from its archive without TensorFlow: layers, sizes, weights."""

import base64
import json
import math
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from cnn.process.errors import REMAKE, InputError
from cnn.storage.paths import MODEL

WEIGHTED = {"Conv2D": "conv2d", "Dense": "dense"}  # and what their groups are called in model.weights.h5
OPTIONS = ("activation", "padding", "strides", "pool_size", "scale", "offset")


@dataclass(frozen=True)
class Layer:
    """A layer of the network. shape: of its output for one image; weights: its kernel and bias, if any."""

    kind: str
    name: str
    shape: tuple[int, ...]
    options: dict[str, Any]
    weights: tuple[NDArray[np.float32], ...] = ()

    @property
    def parameters(self) -> int:
        return sum(array.size for array in self.weights)


@dataclass(frozen=True)
class Network:
    """A network: the shape of an image (height, width, channels), and its layers in order."""

    shape: tuple[int, ...]
    layers: tuple[Layer, ...]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    def for_script(self) -> dict[str, Any]:
        """What the page's script needs to run it: options and sizes, and all weights as little-endian float32."""
        arrays = [array.astype("<f4").tobytes() for layer in self.layers for array in layer.weights]
        layers = [
            {"kind": layer.kind, "name": layer.name, "shape": layer.shape, **layer.options}
            | {"weights": [array.shape for array in layer.weights]}
            for layer in self.layers
        ]
        return {"shape": self.shape, "layers": layers, "weights": base64.b64encode(b"".join(arrays)).decode()}


def read_network(path: Path = MODEL) -> Network:
    """Read what `cnn.network.saved` has written. Raises InputError where it is not that."""
    try:
        with zipfile.ZipFile(path) as archive, archive.open("model.weights.h5") as weights, h5py.File(weights) as file:
            return _network(json.loads(archive.read("config.json"))["config"]["layers"], file["layers"])
    except InputError:
        raise
    except (OSError, KeyError, ValueError, TypeError, zipfile.BadZipFile) as error:
        raise InputError(f"{path}: expected a network in Keras' .keras format: {error}. {REMAKE}") from None


def _network(configs: list[dict[str, Any]], groups: h5py.Group) -> Network:
    first, *rest = configs
    shape = start = tuple(first["config"]["batch_shape"][1:])
    layers, seen = [], dict.fromkeys(WEIGHTED, 0)
    for entry in rest:
        kind, config = entry["class_name"], entry["config"]
        weights: tuple[NDArray[np.float32], ...] = ()
        if kind in WEIGHTED:
            # Keras numbers the groups by kind: conv2d, conv2d_1, …
            group = groups[WEIGHTED[kind] + (f"_{seen[kind]}" if seen[kind] else "")]["vars"]
            weights = tuple(group[str(number)][()] for number in range(len(group)))
            seen[kind] += 1
        options = {key: config[key] for key in OPTIONS if key in config}
        shape = _output_shape(kind, config, shape)
        layers.append(Layer(kind, config["name"], shape, options, weights))
    return Network(start, tuple(layers))


def _output_shape(kind: str, config: dict[str, Any], shape: tuple[int, ...]) -> tuple[int, ...]:
    """What a layer makes of one input of the shape given."""
    match kind:
        case "Rescaling" | "Activation" | "Dropout" | "Softmax":
            return shape
        case "Conv2D":
            return (*_places(config, "kernel_size", shape), config["filters"])
        case "MaxPooling2D":
            return (*_places(config, "pool_size", shape), shape[2])
        case "GlobalAveragePooling2D":
            return shape[2:]
        case "Flatten":
            return (math.prod(shape),)
        case "Dense":
            return (config["units"],)
    raise InputError(f"expected a network of this project's layers. Received: one with {kind!r}.")


def _places(config: dict[str, Any], window: str, shape: tuple[int, ...]) -> list[int]:
    """How often a window fits, down and across."""
    sides = zip(shape, config[window], config["strides"], strict=False)
    if config["padding"] == "same":
        return [-(-side // stride) for side, _, stride in sides]
    return [(side - size) // stride + 1 for side, size, stride in sides]
