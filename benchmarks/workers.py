"""What shards and workers cost a step, and the scaling that follows. Writes workers.csv and workers.png.

python -m benchmarks.workers     To count this training's bytes alone: unshare --net, ip link set lo up, then this.
"""

import os
import re
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from benchmarks.work import HERE, ROOT, machine
from checks.distributed import tasks
from cnn.network import runtime
from cnn.process import cluster
from cnn.settings import params

RESULTS = HERE / "workers.csv"
RECIPES, SHARDS, WORKERS = ("tutorial", "accurate"), (1, 2, 4, 8, 16), (2, 4)
STEPS, TRIES = 20, 7
SIZES = (1, 93_322)  # parameters: of nothing but the way to and fro, and the lesson's network
SPEEDUPS = (0.25, 0.5, 1, 2, 4, 8, 16)  # the ticks
GIGABITS, CORES = (1, 10, 25, 100), 2  # of links; of a worker


def main() -> None:
    rows: list[dict[str, object]] = [
        {"recipe": recipe, "shards": shards, "ms": ms, "parameters": parameters}
        for recipe in RECIPES
        for shards, ms, parameters in step_times(recipe)
    ]
    rows += [gathering(workers, parameters) for workers in WORKERS for parameters in SIZES]
    table = pd.DataFrame(rows).assign(machine=machine())
    table.to_csv(RESULTS, index=False, float_format="%.5g", lineterminator="\n")
    draw(pd.read_csv(RESULTS)).savefig(RESULTS.with_suffix(".png"), dpi=110)


def step_times(recipe: str) -> list[tuple[int, float, int]]:
    """Of each number of shards: milliseconds a step on all cores, the median of tries in turn; parameters."""
    from cnn.network import build
    from cnn.training.step import Step

    options = params.load_params(ROOT / f"recipes/{recipe}.yaml")
    images = np.random.default_rng(0).integers(0, 256, (STEPS * options.train.batch_size, 28, 28, 1), np.uint8)
    labels, weights = np.arange(len(images), dtype=np.int32) % 10, np.ones(len(images), np.float32)
    rates = np.full(STEPS, 1e-3, np.float32)
    steps = {}
    for shards in SHARDS:
        model = build.build_cnn_model((28, 28, 1), 10, options.model)
        steps[shards] = Step(model, images.dtype, options.train.model_copy(update={"shards": shards}))
        steps[shards].run(images, labels, weights, rates, 0)
    times: dict[int, list[float]] = {shards: [] for shards in SHARDS}
    for _ in range(TRIES):
        for shards, step in steps.items():
            started = time.perf_counter()
            step.run(images, labels, weights, rates, 0)
            times[shards].append(1000 * (time.perf_counter() - started) / STEPS)
    return [(shards, statistics.median(each), model.count_params()) for shards, each in times.items()]


def gathering(workers: int, parameters: int, shards: int = 4) -> dict[str, object]:
    """Milliseconds and bytes, of all workers together, that it takes until each has the shards of all."""
    command = [sys.executable, "-m", "benchmarks.workers", "member", str(parameters), str(shards)]
    everyone = [os.environ | {"TF_CONFIG": task, "PYTHONPATH": str(ROOT)} for task in tasks(workers)]
    members = [subprocess.Popen(command, env=one, stdout=subprocess.PIPE, text=True) for one in everyone]
    said = [member.communicate()[0].splitlines()[-1].split() for member in members]
    return {"workers": workers, "parameters": parameters} | dict(zip(("ms", "bytes"), map(float, said[0]), strict=True))


def member(parameters: int, shards: int, steps: int = 50) -> None:
    """Exchange with the others, as training does; say milliseconds and bytes on loopback of a step."""
    machines = cluster.read()
    runtime.prepare("portable")
    import tensorflow as tf

    from cnn.training import joining

    team = joining.join(machines, shards)

    def step(number: tf.Tensor, values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        return number + 1, team.gather(lambda shard: [values + shard], shards)[-1][0]

    run = tf.function(
        lambda: tf.while_loop(lambda number, _: number < steps, step, (0, tf.zeros(parameters)))[1], autograph=False
    )
    measured = []
    for _ in range(TRIES + 1):  # the first one compiles
        before, started = on_loopback(), time.perf_counter()
        run().numpy()
        measured.append((1000 * (time.perf_counter() - started) / steps, (on_loopback() - before) / steps))
    print(*(statistics.median(values) for values in zip(*measured[1:], strict=True)))


def on_loopback() -> int:
    """Bytes that this machine's loopback has carried."""
    (count,) = re.findall(r"lo:\s*(\d+)", Path("/proc/self/net/dev").read_text())
    return int(count)


def speedup(results: pd.DataFrame, recipe: str, workers: int, gigabits: float, shards: int = 16) -> float:
    """How much faster than one worker: each computes its share, and receives the others' over the network.

    A worker receives (workers - 1) / workers of shards * parameters * 4 bytes a step, and a message goes round the
    ring of workers in workers - 1 hops.
    """
    alone = results[(results["recipe"] == recipe) & (results["shards"] == shards)].iloc[0]
    empty = results[(results["workers"] == 2) & (results["parameters"] == 1)]["ms"].iloc[0]
    received = (workers - 1) / workers * shards * alone["parameters"] * 4
    network = (workers - 1) * empty + 1000 * received * 8 / (gigabits * 1e9)
    turns = np.ceil(np.ceil(shards / workers) / CORES)  # one shard keeps one core busy
    return alone["ms"] / (alone["ms"] * turns * CORES / shards + network)


def draw(results: pd.DataFrame) -> Figure:
    """Left: what shards cost on this machine. Then for each recipe the speed-up by workers and network."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    cost, *scaling = figure.subplots(1, 1 + len(RECIPES))
    for recipe, axes in zip(RECIPES, scaling, strict=True):
        rows = results[results["recipe"] == recipe]
        cost.plot(rows["shards"], rows["ms"] / rows["ms"].min(), marker="o", label=recipe)
        for gigabits in GIGABITS:
            values = [speedup(results, recipe, workers, gigabits) for workers in SHARDS]
            axes.plot(SHARDS, values, marker="o", label=f"{gigabits} Gb/s")
        axes.plot(SHARDS, SHARDS, color="grey", linestyle=":", label="ideal")
        axes.set(title=f"{recipe}, 16 shards: speed-up", xlabel="workers, two cores each", xscale="log", yscale="log")
        axes.set_yticks(SPEEDUPS, [f"{value:g}" for value in SPEEDUPS])
    cost.set(title="time of a step, of the best", xlabel="shards, on two cores", xscale="log", ylim=(0, 1.5))
    for axes in (cost, *scaling):
        axes.set_xticks(SHARDS, [str(shards) for shards in SHARDS])
        axes.minorticks_off()
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    return figure


if __name__ == "__main__":
    if sys.argv[1:2] == ["member"]:
        member(*map(int, sys.argv[2:]))
    else:
        runtime.prepare("portable")
        main()
