"""resume.npz: where a training is, so that --resume can go on after whatever ended it. Needs no Keras.

    >>> write(folder, {"batch": 14, ...}, [variable.numpy() for variable in variables])
    >>> facts, arrays = read(folder)
    >>> check_same(facts, settings)
"""
import contextlib
import json
import math
import os
import zipfile
import zlib
from pathlib import Path

import fastjsonschema
import numpy as np

from command import UserError, written_whole

STATE = "resume.npz"  # in the model's folder while it is trained

_NUMBERS = {"type": "array", "items": {"type": "number"}}
_ROW = {"type": "object", "required": ["model", "batch", "loss", "val_loss"],
        "properties": {"model": {"type": "string"}, "batch": {"type": "integer", "minimum": 0}},
        "additionalProperties": {"type": "number"}}
FACTS = {"batch": {"type": "integer", "minimum": 0}, "history": {"type": "array", "items": _ROW}, "best": {"type": "number"},
         "recent": _NUMBERS, "since_validation": _NUMBERS, "stopped_early": {"type": "boolean"},
         "seconds": {"type": "number", "minimum": 0}, "settings": {"type": "object"},
         "unreadable": {"type": "object", "propertyNames": {"pattern": "^[0-9]+$"},
                        "additionalProperties": {"type": "string"}}}
_SCHEMA = {"type": "object", "properties": FACTS, "required": list(FACTS), "additionalProperties": False}


def write(folder: Path, facts: dict, arrays: list[np.ndarray]):
    """Write `facts`, a dict with all of FACTS, and any arrays into a folder's resume.npz, whole."""
    with written_whole(folder / STATE) as beside:
        np.savez(beside, facts=np.frombuffer(json.dumps(facts).encode(), np.uint8),
                 **{f"variable{k}": array for k, array in enumerate(arrays)})


def read(folder: Path) -> tuple[dict, list[np.ndarray]]:
    """(facts, arrays) of a folder's resume.npz; UserError where it is damaged or of another version."""
    path = folder / STATE
    try:
        with np.load(path, allow_pickle=False) as state:
            facts = json.loads(state["facts"].tobytes())
            arrays = [state[f"variable{k}"] for k in range(len(state.files) - 1)]
        fastjsonschema.validate(_SCHEMA, facts)
        if math.isnan(facts["best"]) or not np.isfinite(facts["since_validation"] + facts["recent"]).all() or not all(
                np.isfinite(array).all() for array in arrays):
            raise ValueError("not all numbers are finite")
        return facts, arrays
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RecursionError, MemoryError,
            NotImplementedError, RuntimeError, zipfile.BadZipFile, zlib.error):
        raise UserError(f"{path}: damaged, or of another version; --overwrite starts the training afresh") from None


def check_same(facts: dict, settings: dict):
    """UserError where the interrupted training had other `settings`, {name: what JSON can hold}; it may have had more."""
    settings = json.loads(json.dumps(settings))  # a tuple is a list there
    before = facts["settings"]
    changed = [name for name in settings if before.get(name) != settings[name]]
    if changed == ["backend"] and "backend" in before:
        raise UserError(f"--resume: the interrupted training was by Keras with {before['backend']}, this would be with "
                        f"{settings['backend']}; set KERAS_BACKEND={before['backend']}, or --overwrite to start afresh")
    if changed:
        raise UserError(f"--resume: {', '.join(changed)} differ from the interrupted training's; give its command again, or "
                        "--overwrite to start afresh")


def keras_backend() -> str:
    """The backend that Keras will take when it is loaded, by KERAS_BACKEND or its keras.json, as it looks for them itself
    (keras/src/backend/config.py); what is wrong with them is for Keras to say."""
    home = os.path.expanduser("~")
    folder = os.environ.get("KERAS_HOME", os.path.join(home if os.access(home, os.W_OK) else "/tmp", ".keras"))
    named = None
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        named = json.loads(Path(folder, "keras.json").expanduser().read_text())["backend"]
    return os.environ.get("KERAS_BACKEND") or named or "tensorflow"
