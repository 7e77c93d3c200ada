"""Model folders: each is complete in itself, see DESIGN."""
import json
from pathlib import Path

from command import UserError
from words.alphabet import Alphabet

PRESETS = "lite", "seed"  # networks that utils.py can build

WEIGHTS = {"final": "final.weights.h5", "checkpoint": "checkpoint.weights.h5"}


def find_model(path):
    """(folder, weights file) of a model named by its folder or by a weights file in it.

    The names of 2018, final_weights.h5 and checkpoint_weights.h5, stand for final.weights.h5 and
    checkpoint.weights.h5. A folder means its final weights.
    """
    path = Path(path)
    folder = path if path.is_dir() else path.parent
    if path.is_dir():
        weights = folder / WEIGHTS["final"]
    else:
        weights = folder / path.name.replace("_weights.h5", ".weights.h5")
    if not (folder / "config.json").is_file():
        raise UserError(f"{path}: not a model folder (no config.json); train.py makes one")
    if not weights.is_file():
        raise UserError(f"{weights}: no such file; a model folder holds {' and '.join(WEIGHTS.values())}")
    return folder, weights


def load_config(folder):
    """The config.json of a model folder, a dict; UserError if it cannot be read or lacks something."""
    try:
        config = json.loads((Path(folder) / "config.json").read_text(encoding="utf8"))
        network = config["network"]
        Alphabet(str(config["alphabet"]))
        if network["preset"] not in PRESETS or not all(type(network[name]) is int for name in ("width", "height")):
            raise ValueError(f"network {network}")
        return config
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{folder}/config.json: not a model's ({type(error).__name__}: {error})") from None
