"""Keras on the backend that KERAS_BACKEND names (TensorFlow, JAX or PyTorch), and the devices it trains on.

    >>> from fitting.backend import keras
"""
import contextlib
import importlib
import os
import platform
import sys

from command import UserError


@contextlib.contextmanager
def no_stderr():
    """Nothing that is written to stderr, by C++ too, is seen; exceptions pass."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # only TensorFlow's errors are for users; and as it heeds that
try:                                                # badly while it loads (tensorflow issue 100442), none then
    with no_stderr():
        import keras
except ImportError as error:
    named = os.environ.get("KERAS_BACKEND") or (error.name if error.name in ("jax", "torch", "openvino") else None)
    mend = "pip install -r requirements.txt brings it, with TensorFlow" if not named else (
        f"KERAS_BACKEND or ~/.keras/keras.json names {named}: install that, or name tensorflow, jax or torch")
    raise UserError(f"Keras does not load ({error}); {mend}") from None
except (ValueError, AttributeError) as error:  # a backend or a keras.json that Keras cannot make sense of
    raise UserError(f"Keras does not load ({error}); see KERAS_BACKEND and ~/.keras/keras.json") from None
if keras.backend.backend() not in ("tensorflow", "jax", "torch"):
    raise UserError(f"Keras's backend {keras.backend.backend()} does not train; name tensorflow, jax or torch in "
                    "KERAS_BACKEND or ~/.keras/keras.json")
keras.config.set_image_data_format("channels_last")  # whatever the user's keras.json says: weights and images here are so
keras.config.set_floatx("float32")


def choose_gpus(ids: str | None):
    """Let this process see the GPUs of --G only, "0" or "0,1", or none ("-1"). Without --G, the first that the
    environment's CUDA_VISIBLE_DEVICES allows. Works before the backend first looks for devices."""
    if ids is None:
        ids = os.environ.get("CUDA_VISIBLE_DEVICES", "0").split(",")[0]
    os.environ["CUDA_VISIBLE_DEVICES"] = ids


def gpus() -> list[str]:
    """Names of the GPUs that tf.distribute can use together; with other backends none are joined."""
    if keras.backend.backend() != "tensorflow":
        return []
    import tensorflow as tf
    return [device.name for device in tf.config.list_logical_devices("GPU")]


def distribute(devices: list[str]):
    """The scope to build a network in: tf.distribute's over several devices, else none."""
    if len(devices) < 2:
        return contextlib.nullcontext()
    import tensorflow as tf
    return tf.distribute.MirroredStrategy(devices).scope()


def hardware() -> str:
    """The processor and the GPUs in a few words, for reports."""
    name = platform.processor()
    if os.path.exists("/proc/cpuinfo"):
        models = [line.split(":", 1)[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")]
        name = models[0] if models else name
    return f"{os.cpu_count()} cores of {name or platform.machine()}" + "".join(f", {gpu}" for gpu in gpus())


def versions() -> dict[str, str]:
    """{name: version} of what a training ran on."""
    import numpy
    backend = keras.backend.backend()
    return {"python": platform.python_version(), "keras": keras.__version__,
            backend: importlib.import_module(backend).__version__, "numpy": numpy.__version__}
