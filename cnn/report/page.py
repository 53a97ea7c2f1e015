"""The page: everything that was read, drawn into one HTML file."""

import base64
import hashlib
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import pandas as pd
from markupsafe import Markup

from cnn.report import charts, diagrams, gallery, images, origin, results
from cnn.report.comparison import Compared
from cnn.report.network import Layer, Network, read_network
from cnn.storage import paths

HERE = Path(__file__).parent
DIGITS = list("0123456789")  # the classes of MNIST, whose images are fitted and centred
LARGEST_SIDE = 64  # of an image that one can draw
MOST_WEIGHTS = 1_400_000  # bytes; the page holds them in base64, a third more
MOST_FILTERS = 128
FEATURE_MAPS = paths.FIGURES / "feature_maps.png"


def render(comparison: Compared | None = None) -> str:
    """The page about the results in the current folder. Raises InputError where they are missing or damaged."""
    found, network, source = results.read(), read_network(), origin.read()
    why_no_panel = no_panel(network)
    if why_no_panel:
        results.require(FEATURE_MAPS)
    style, script = (HERE.joinpath(name).read_text(encoding="utf-8") for name in ("report.css", "report.js"))
    return (
        _environment()
        .get_template("report.html.j2")
        .render(
            style=Markup(style),  # our own files
            script=Markup(script),
            style_hash=_hash(style),
            script_hash=_hash(script),
            results=found,
            network=network,
            origin=source,
            comparison=comparison,
            changed_sides=gallery.changed_sides(found, comparison) if comparison else [],
            curves=[charts.curve(found.history, metric) for metric in ("loss", "accuracy")],
            confusions=[charts.confusion(found.of(split), split, found.classes) for split in found.splits],
            reliabilities={split: charts.reliability(found.of(split)) for split in found.splits},
            charts=charts,
            diagrams=diagrams,
            mistakes=gallery.mistakes(found),
            samples=gallery.samples(found),
            filters=_filters(network),
            headline=_headline(found.details),
            why_no_panel=why_no_panel,
            like_mnist=network.shape == (28, 28, 1) and found.classes == DIGITS,
            feature_maps=_embedded(FEATURE_MAPS) if why_no_panel else None,
        )
    )


def no_panel(network: Network) -> str | None:
    """Why one cannot draw an image for the network in the page; None where one can."""
    height, width, channels = network.shape
    if channels != 1 or max(height, width) > LARGEST_SIDE:
        return (
            f"It is for grey images of up to {LARGEST_SIDE} pixels a side. "
            f"These have {height} × {width} pixels and {channels} channel{'s' * (channels > 1)}."
        )
    if 4 * network.parameters > MOST_WEIGHTS:
        return (
            f"The network's {network.parameters:,} weights take {4 * network.parameters:,} bytes. "
            f"The page holds up to {MOST_WEIGHTS:,}."
        )
    return None


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": _percent, "decimals": _decimals, "shortened": _shortened}
    environment.filters |= {"bytes": _bytes, "words": lambda name: name.replace("_", " ").replace("f1", "F1")}
    environment.filters |= {"shape": lambda shape: " × ".join(f"{side:,}" for side in shape)}
    environment.tests["missing"] = pd.isna
    return environment


def _percent(share: float) -> str:
    return f"{100 * share:.2f}\N{NO-BREAK SPACE}%"


def _decimals(value: float) -> str:
    """A metric, or a count."""
    return f"{value:,.0f}" if value > 100 else f"{value:.4f}"


def _bytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 1e6 else f"{count / 1e3:,.1f} kB"


def _shortened(name: str, most: int = 12) -> str:
    return name if len(name) <= most else name[: most - 1] + "…"


def _hash(text: str) -> str:
    """What a Content-Security-Policy calls an inline script or style sheet."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _embedded(path: Path) -> str:
    return "data:image/png;base64," + base64.b64encode(path.read_bytes()).decode()


def _headline(details: pd.DataFrame) -> dict[str, Any]:
    """{split: {metric: its row of details.csv}} of the splits there are, validation first."""
    splits = [split for split in ("validation", "test", "train") if split in set(details["split"])]
    rows = {split: details[details["split"] == split] for split in splits}
    return {split: {row.metric: row for row in table.itertuples()} for split, table in rows.items()}


def _filters(network: Network) -> dict[str, Any]:
    """Of the first convolution: the layer, pictures of its filters, and whether they are in colour."""
    layer: Layer = next(layer for layer in network.layers if layer.kind == "Conv2D")
    kernel = layer.weights[0]
    pictures = images.filters(kernel[..., :MOST_FILTERS].astype(np.float32))
    return {"layer": layer, "pictures": pictures, "size": kernel.shape[:2], "channels": kernel.shape[2]}
