"""fitting/backend.py: whatever the user's environment and keras.json say, Keras trains, or one line says what to mend."""
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow  # Keras

ROOT = Path(__file__).parent.parent

LOADS = """
import sys, command
def main():
    from fitting.backend import keras
    print(keras.backend.backend(), keras.config.image_data_format(), keras.config.floatx(), file=sys.stderr)
sys.argv = ["train.py"]
command.run(main)
"""


def load(tmp_path, settings=None, **environment):
    """(exit status, what stderr says) of loading Keras with a keras.json and environment variables."""
    if settings is not None:
        (tmp_path / "keras.json").write_text(settings if isinstance(settings, str) else json.dumps(settings))
    done = subprocess.run([sys.executable, "-c", LOADS], cwd=ROOT, capture_output=True, text=True, timeout=300,
                          env={**os.environ, "KERAS_HOME": str(tmp_path), **environment})
    return done.returncode, done.stderr


def test_weights_and_images_are_as_they_must_be_whatever_keras_json_says(tmp_path):
    status, said = load(tmp_path, {"backend": "tensorflow", "image_data_format": "channels_first", "floatx": "float16",
                                   "epsilon": 1e-7})
    assert (status, said) == (0, "tensorflow channels_last float32\n")


@pytest.mark.parametrize("settings, backend, said", [
    (None, "nonesuch", "Keras does not load (Unable to import backend : nonesuch); see KERAS_BACKEND and ~/.keras/"),
    (None, "numpy", "name tensorflow, jax or torch"),
    ({"backend": "nonesuch"}, "", "Unable to import backend : nonesuch"), ({"floatx": "float3"}, "", "float3"),
    ("[1]", "", "Keras does not load")])
def test_what_keras_cannot_be_set_to_is_told_in_one_line(tmp_path, settings, backend, said):
    status, line = load(tmp_path, settings, KERAS_BACKEND=backend)
    assert status == 2 and line.startswith("train.py: ") and line.count("\n") == 1
    assert said in line
