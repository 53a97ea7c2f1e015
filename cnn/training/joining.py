"""How the processes that TF_CONFIG names come together, or the GPUs of one."""

import os
import threading
import time

import tensorflow as tf

from cnn.process.cluster import Cluster
from cnn.process.errors import InputError
from cnn.training.workers import AGAIN, Workers, silent

ARRIVAL = 900  # seconds for all to come: the chief may have to download and to preprocess first


def join(cluster: Cluster | None, shards: int) -> Workers:
    """Wait until all are there. Raises InputError where they are not in time, or where there are too many."""
    if cluster is None:
        gpus = [f"GPU:{number}" for number in range(len(tf.config.list_physical_devices("GPU")))][:shards]
        return Workers(tf.distribute.MirroredStrategy(gpus) if len(gpus) > 1 else None)
    count = len(cluster.addresses)
    if cluster.index and "DVC_STAGE" in os.environ:
        raise InputError(
            "expected `dvc repro` on the chief alone, since a worker writes nothing. Received: it on worker "
            f"{cluster.index} of TF_CONFIG. There, run: python -m stages.train"
        )
    _require_few(count, "workers", shards)
    found: list = []
    # TensorFlow waits without an end, and hears no signal meanwhile: so not here.
    waiting = threading.Thread(target=lambda: found.append(_strategy(cluster)), daemon=True)
    waiting.start()
    deadline = time.monotonic() + ARRIVAL
    while waiting.is_alive():
        if time.monotonic() > deadline:
            raise InputError(
                f"TF_CONFIG: expected its {count} workers within {ARRIVAL:g} s. Received: "
                f"{silent(cluster.addresses)}. {AGAIN}"
            )
        waiting.join(0.1)
    if isinstance(found[0], tf.errors.OpError):
        reason = found[0].message.partition("\n")[0]
        raise InputError(f"TF_CONFIG: expected to meet its {count} workers. Received: {reason}. {AGAIN}")
    print(f"train: {'worker' if cluster.index else 'chief'} {cluster.index} of {count} together", flush=True)
    _require_few(found[0].num_replicas_in_sync, "GPUs", shards)
    return Workers(found[0], cluster.addresses, cluster.index)


def _require_few(count: int, what: str, shards: int) -> None:
    if count > shards:
        raise InputError(
            f"TF_CONFIG: expected at most {shards} {what}, a shard of each batch for each. Received: {count}. "
            "Start fewer, or raise train.shards and train.batch_size."
        )


def _strategy(cluster: Cluster) -> tf.distribute.Strategy | tf.errors.OpError:
    """TensorFlow's own of these processes, which is there when all are; or why it is not."""
    spec = tf.train.ClusterSpec({"worker": list(cluster.addresses)})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        spec, task_type="worker", task_id=cluster.index, rpc_layer="grpc"
    )
    ring = tf.distribute.experimental.CommunicationImplementation.RING
    try:
        return tf.distribute.MultiWorkerMirroredStrategy(
            resolver, tf.distribute.experimental.CommunicationOptions(implementation=ring)
        )
    except tf.errors.OpError as error:
        return error
