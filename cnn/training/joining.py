"""How the processes that TF_CONFIG names come together, or the GPUs of one."""

import os
import signal
import socket
import time
from contextlib import ExitStack

import tensorflow as tf

from cnn.process import watchdog
from cnn.process.cluster import Cluster
from cnn.process.errors import InputError, RunAgainError
from cnn.training.workers import AGAIN, ANSWER, Workers

ARRIVAL = 900  # seconds for all to come: the chief may have to download and to preprocess first
HANDSHAKE = 60  # seconds for TensorFlow to connect all, once they are there
HERE = b"!"  # what the chief says to each when all are there


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
        line = f"train: TF_CONFIG: expected to meet its {count} workers. Received: one lost meanwhile. {AGAIN}"
        with watchdog.within(HANDSHAKE, line):
            strategy = _strategy(cluster)
    except tf.errors.OpError as error:
        reason = error.message.partition("\n")[0]
        raise RunAgainError(f"TF_CONFIG: expected to meet its {count} workers. Received: {reason}. {AGAIN}") from None
    # TensorFlow has put a handler of its own there, which does nothing.
    signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
    print(f"train: {'worker' if cluster.index else 'chief'} {cluster.index} of {count} together", flush=True)
    _require_few(strategy.num_replicas_in_sync, "GPUs", shards)
    return Workers(strategy, cluster.addresses, cluster.index)


def _meet(cluster: Cluster) -> None:
    """Wait until all are there. TensorFlow would wait without an end, and hear no signal meanwhile."""
    deadline = time.monotonic() + ARRIVAL
    host, _, port = cluster.addresses[0].rpartition(":")
    others = set(range(1, len(cluster.addresses))) if cluster.index == 0 else {0}
    missing = others
    try:
        with ExitStack() as lines:
            server = lines.enter_context(_listening(int(port))) if cluster.index == 0 else None
            here: dict[int, socket.socket] = {}
            while missing:
                if time.monotonic() > deadline:
                    names = ", ".join(cluster.addresses[index] for index in sorted(missing))
                    raise RunAgainError(
                        f"TF_CONFIG: expected its {len(cluster.addresses)} workers within {ARRIVAL:g} s. Received: "
                        f"no answer from {names}. {AGAIN}"
                    )
                if server:
                    here |= _arrived(server, others, lines)
                    missing = others - {index for index, line in here.items() if _is_open(line)}
                elif _called((host.strip("[]"), int(port)), cluster.index, deadline):
                    missing = set()
            for line in here.values():
                line.sendall(HERE)
    except OSError as error:
        raise RunAgainError(
            f"TF_CONFIG: expected to meet at {cluster.addresses[0]}. Received: {error.strerror}. {AGAIN}"
        ) from None


def _listening(port: int) -> socket.socket:
    """A server on all addresses of this machine: of IPv4 and, where it has some, of IPv6."""
    both = socket.has_dualstack_ipv6()
    family = socket.AF_INET6 if both else socket.AF_INET
    return socket.create_server(("", port), family=family, dualstack_ipv6=both)


def _arrived(server: socket.socket, others: set[int], lines: ExitStack) -> dict[int, socket.socket]:
    """The chief's end of the line of who arrives in the next second, by its number."""
    server.settimeout(1)
    try:
        line = lines.enter_context(server.accept()[0])
        line.settimeout(ANSWER)
        index = int(line.recv(10))
    except (TimeoutError, ConnectionError, ValueError):  # nobody, or no worker of ours
        return {}
    line.setblocking(False)
    return {index: line} if index in others else {}


def _is_open(line: socket.socket) -> bool:
    """Whether the worker at the other end, which says no more, is still there."""
    try:
        return bool(line.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return True
    except ConnectionError:
        return False


def _called(chief: tuple[str, int], index: int, deadline: float) -> bool:
    """Whether the chief was there, and has said that all are."""
    try:
        with socket.create_connection(chief, ANSWER) as line:
            line.sendall(str(index).encode())
            line.settimeout(max(deadline - time.monotonic(), 0.1))
            if line.recv(1) == HERE:  # not what TensorFlow says there, where training has begun without this one
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
