"""Where everything in the page's diagrams lies: the network's layers, the pipeline's stages."""

import math
from dataclasses import dataclass

from cnn.report.network import Layer, Network
from cnn.report.origin import Stage

STEP = 104  # from one block of the network to the next, in the units of the drawing
FLOOR = 150  # where they stand
INSIDE = ("Rescaling", "Activation", "Dropout", "Softmax")  # drawn as part of the block before
NODE_WIDTH, NODE_HEIGHT, ACROSS, DOWN = 168, 56, 222, 84


@dataclass(frozen=True)
class Block:
    """A layer of the diagram, with those that only change its values: a slab of thickness x height x depth."""

    name: str
    inside: list[str]
    shape: tuple[int, ...]
    parameters: int
    x: float
    thickness: float
    height: float
    depth: float


def blocks(network: Network) -> list[Block]:
    """The network as slabs: as high and deep as the feature map, thicker with more channels."""
    groups: list[tuple[str, list[Layer]]] = [("image", [])]
    for layer in network.layers:
        if layer.kind in INSIDE:
            groups[-1][1].append(layer)
        else:
            groups.append((layer.name, [layer]))
    placed = []
    for place, (name, layers) in enumerate(groups):
        own = [layer for layer in layers if layer.kind not in INSIDE]
        shape = own[0].shape if own else network.shape
        height, depth, thickness = _slab(shape, network.shape)
        inside = [*_activation(own), *(layer.name for layer in layers if layer.kind in INSIDE)]
        x = place * STEP + (STEP - thickness - depth) / 2
        block = Block(name, inside, shape, sum(layer.parameters for layer in layers), x, thickness, height, depth)
        placed.append(block)
    return placed


def _activation(layers: list[Layer]) -> list[str]:
    """The activation that a layer applies itself."""
    named = [layer.options.get("activation", "linear") for layer in layers]
    return [name for name in named if name != "linear"]


def _slab(shape: tuple[int, ...], image: tuple[int, ...]) -> tuple[float, float, float]:
    """Height, depth and thickness."""
    if len(shape) == 1:
        return 20 + 11 * math.log2(shape[0] + 1), 0, 9
    largest = max(image[:2])
    return 10 + 100 * shape[0] / largest, 6 + 26 * shape[1] / largest, 3 + 4 * math.log2(shape[2] + 1)


@dataclass(frozen=True)
class Node:
    """A stage in the diagram of the pipeline."""

    stage: Stage
    x: float
    y: float


@dataclass(frozen=True)
class Graph:
    """The pipeline: nodes, and edges as SVG paths."""

    nodes: list[Node]
    edges: list[str]
    width: float
    height: float


def graph(stages: list[Stage]) -> Graph:
    """The stages from left to right, each to the right of those that it reads from."""
    levels: dict[str, int] = {}
    waiting = list(stages)
    while waiting:  # dvc.yaml may name them in any order; DVC refuses a circle
        ready = [stage for stage in waiting if all(name in levels for name in stage.after)]
        for stage in ready or waiting:
            levels[stage.name] = 1 + max((levels.get(name, -1) for name in stage.after), default=-1)
        waiting = [stage for stage in waiting if stage.name not in levels]
    rows: dict[int, int] = {}
    nodes: dict[str, Node] = {}
    for stage in stages:
        level = levels[stage.name]
        nodes[stage.name] = Node(stage, level * ACROSS + 1, rows.get(level, 0) * DOWN + 1)
        rows[level] = rows.get(level, 0) + 1
    edges = [_edge(nodes[name], node) for node in nodes.values() for name in node.stage.after]
    height = (max(rows.values()) - 1) * DOWN + NODE_HEIGHT + 40
    return Graph(list(nodes.values()), edges, max(rows) * ACROSS + NODE_WIDTH + 2, height)


def _edge(source: Node, target: Node) -> str:
    """From the right side of one to the left of the next; to one farther away, in a bow below those between."""
    if target.x - source.x <= ACROSS:
        x1, y1, x2, y2 = source.x + NODE_WIDTH, source.y + NODE_HEIGHT / 2, target.x, target.y + NODE_HEIGHT / 2
        middle = (x1 + x2) / 2
        return f"M{x1} {y1}C{middle} {y1} {middle} {y2} {x2 - 2} {y2}"
    x1, y1, x2, y2 = source.x + NODE_WIDTH * 0.75, source.y + NODE_HEIGHT, target.x + 30, target.y + NODE_HEIGHT
    low = max(y1, y2) + 40
    return f"M{x1} {y1}C{x1 + 20} {low} {x2 - 20} {low} {x2} {y2 + 2}"
