"""What makes a run repeatable: the environment and the settings of NumPy and TensorFlow.

Every kernel runs on one thread, and the shards of a batch run side by side (see `shards`). So the number of
threads decides how fast a result comes, never what it is; and small kernels, which gain little from a second
thread, run faster that way.
"""

import gc
import os
import platform
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cnn.process import machine
from cnn.process.errors import InputError

# Set before the libraries are imported, and whatever the caller's environment says: they read it once.
QUIET = {"TF_CPP_MIN_LOG_LEVEL": "2", "KERAS_BACKEND": "tensorflow", "OPENBLAS_NUM_THREADS": "1"}
REPEATABLE = {
    # The same bits, sooner: without it, TensorFlow sets up each kernel of a gradient anew in every step.
    "TF_MKL_OPTIMIZE_PRIMITIVE_MEMUSE": "false",
    # Left to itself TensorFlow takes oneDNN's kernels on some CPUs and Eigen's on others.
    "TF_ENABLE_ONEDNN_OPTS": "1",
    "TF_DETERMINISTIC_OPS": "1",
}
PORTABLE = {
    # The instruction set that every x86-64 CPU of the last ten years has: kernels for a newer one add up in
    # another order.
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "OPENBLAS_CORETYPE": "Haswell",
}

# Keras imports these where they are installed, for wrappers that are not used here: 2 s and 120 MB.
OPTIONAL = ("sklearn", "scipy", "matplotlib", "pandas", "PIL")

prepared_for: str | None = None  # what `prepare` set this process up for; it can do so once


def prepare(determinism: str) -> None:
    """Set the environment, then import TensorFlow without its start-up noise and set it up.

    determinism: "portable", the same bits on every x86-64 CPU with AVX2; "machine", the same bits on this
    machine, with its fastest kernels. To be called before NumPy and TensorFlow are imported. Raises InputError
    where the CPU cannot do what is asked, or TensorFlow was set up for the other.
    """
    global prepared_for
    if prepared_for not in (None, determinism):
        raise InputError(
            f"train.determinism: expected '{prepared_for}', as TensorFlow was set up in this process. Received: "
            f"'{determinism}'. Start a new process for it."
        )
    set_environment(determinism)
    prepared_for = determinism
    with _quiet_stderr(), _hidden(OPTIONAL), _uncollected():
        import keras
        import tensorflow as tf

        tf.config.list_physical_devices()  # here it complains of a GPU that is not there

    tf.get_logger().setLevel("ERROR")  # it warns of each model compiled after the fourth
    # A keras.json in the home directory must not change the result.
    keras.config.set_floatx("float32")
    keras.config.set_image_data_format("channels_last")
    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(machine.threads())
    tf.config.experimental.enable_op_determinism()
    # It would turn x / sqrt(y) back into x * rsqrt(y), whose bits depend on the CPU.
    tf.config.optimizer.set_experimental_options({"arithmetic_optimization": False})


def set_environment(determinism: str) -> None:
    """Set the environment of this process and of those that it will start. Raises InputError as `prepare` does."""
    if determinism == "portable":
        _require_avx2()
    # TensorFlow writes a page where another worker is lost; ours says it in a line.
    quiet = QUIET | ({"TF_CPP_MIN_LOG_LEVEL": "3"} if "TF_CONFIG" in os.environ else {})
    # Variables of these libraries can change bits: the caller's own are dropped.
    theirs = ("TF_", "XLA_", "ONEDNN_", "DNNL_", "NPY_", "OPENBLAS_")
    for name in [name for name in os.environ if name.startswith(theirs)]:
        del os.environ[name]
    os.environ.update(quiet | REPEATABLE | (PORTABLE if determinism == "portable" else {}))
    if determinism == "portable" or not Path("/dev/nvidiactl").exists():
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"  # a GPU has bits of its own, and looking for none is noisy


def set_global_seed(seed: int) -> None:
    """Seed Python, NumPy and TensorFlow: all that is drawn in the process from here on."""
    import keras

    keras.utils.set_random_seed(seed)


def _require_avx2() -> None:
    if platform.machine() != "x86_64" or not {"avx2", "fma"} <= machine.cpu_flags():
        raise InputError(
            "train.determinism 'portable' expected an x86-64 CPU with AVX2 and FMA, under Linux. Received: "
            f"{platform.machine()} without them, on {sys.platform}. Set train.determinism to 'machine': the same bits "
            "run after run, on machines like this one."
        )


@contextmanager
def _hidden(modules: Iterable[str]) -> Iterator[None]:
    """Let the modules named look as if they were not installed, unless they are imported already."""
    hidden = [name for name in modules if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]


@contextmanager
def _uncollected() -> Iterator[None]:
    """Let the garbage collector pass over what the block makes, now and at the end of the process: it is to stay.

    To look through the 400,000 objects of TensorFlow again and again takes as long as to import them.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _quiet_stderr() -> Iterator[None]:
    """Hold back what C++ code prints before its log level takes effect; let errors through."""
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(saved, 2)
            os.close(saved)
            held.seek(0)
            for line in held.read().decode(errors="replace").splitlines():
                if not line.startswith(("I0", "W0", "WARNING: All log messages before absl")) and "cuInit" not in line:
                    print(line, file=sys.stderr)
