"""How the processes that TF_CONFIG names come together, or the GPUs of one."""

import os
import socket
import time
from contextlib import ExitStack

import tensorflow as tf

from cnn.process.cluster import Cluster
from cnn.process.errors import InputError
from cnn.training.workers import AGAIN, ANSWER, Workers

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
    _meet(cluster)
    try:
        strategy = _strategy(cluster)
    except tf.errors.OpError as error:
        reason = error.message.partition("\n")[0]
        raise InputError(f"TF_CONFIG: expected to meet its {count} workers. Received: {reason}. {AGAIN}") from None
    print(f"train: {'worker' if cluster.index else 'chief'} {cluster.index} of {count} together", flush=True)
    _require_few(strategy.num_replicas_in_sync, "GPUs", shards)
    return Workers(strategy, cluster.addresses, cluster.index)


def _meet(cluster: Cluster) -> None:
    """Wait until all are there. TensorFlow would wait without an end, and hear no signal meanwhile."""
    deadline = time.monotonic() + ARRIVAL
    host, _, port = cluster.addresses[0].rpartition(":")
    missing = set(range(1, len(cluster.addresses))) if cluster.index == 0 else {0}
    try:
        with ExitStack() as lines:
            server = lines.enter_context(socket.create_server(("", int(port)))) if cluster.index == 0 else None
            here = []
            while missing:
                if time.monotonic() > deadline:
                    names = ", ".join(cluster.addresses[index] for index in sorted(missing))
                    raise InputError(
                        f"TF_CONFIG: expected its {len(cluster.addresses)} workers within {ARRIVAL:g} s. Received: "
                        f"no answer from {names}. {AGAIN}"
                    )
                if server:
                    here += [lines.enter_context(line) for line in _arrived(server, missing)]
                elif _called((host.strip("[]"), int(port)), cluster.index, deadline):
                    missing.clear()
            for line in here:
                line.sendall(b"!")
    except OSError as error:
        raise InputError(
            f"TF_CONFIG: expected to meet at {cluster.addresses[0]}. Received: {error.strerror}. {AGAIN}"
        ) from None


def _arrived(server: socket.socket, missing: set[int]) -> list[socket.socket]:
    """The chief's end of the line of who arrives in the next second, and is missing no longer."""
    server.settimeout(1)
    try:
        line, _ = server.accept()
        line.settimeout(ANSWER)
        missing.remove(int(line.recv(10)))
    except (TimeoutError, ValueError, KeyError):  # nobody, or no worker of ours
        return []
    return [line]


def _called(chief: tuple[str, int], index: int, deadline: float) -> bool:
    """Whether the chief was there, and has said that all are."""
    try:
        with socket.create_connection(chief, ANSWER) as line:
            line.sendall(str(index).encode())
            line.settimeout(max(deadline - time.monotonic(), 0.1))
            if line.recv(1):
                return True
    except OSError:
        pass  # not yet
    time.sleep(0.2)
    return False


def _require_few(count: int, what: str, shards: int) -> None:
    if count > shards:
        raise InputError(
            f"TF_CONFIG: expected at most {shards} {what}, a shard of each batch for each. Received: {count}. "
            "Start fewer, or raise train.shards and train.batch_size."
        )


def _strategy(cluster: Cluster) -> tf.distribute.Strategy:
    """TensorFlow's own of these processes, which is there when all are."""
    spec = tf.train.ClusterSpec({"worker": list(cluster.addresses)})
    resolver = tf.distribute.cluster_resolver.SimpleClusterResolver(
        spec, task_type="worker", task_id=cluster.index, rpc_layer="grpc"
    )
    ring = tf.distribute.experimental.CommunicationImplementation.RING
    return tf.distribute.MultiWorkerMirroredStrategy(
        resolver, tf.distribute.experimental.CommunicationOptions(implementation=ring)
    )
