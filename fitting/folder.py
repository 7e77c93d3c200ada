"""What a training leaves in the folder of its model: weights, what was trained on what, report.md, model_summary.txt."""
import datetime
import io
import math
import subprocess
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from command import UserError, write_json, written_whole
from fitting import backend
from fitting.backend import keras
from fitting.state import STATE

# --- Weights ----------------------------------------------------------------------------------------------------

def without_optimizer(network: keras.Model) -> keras.Model:
    """The same layers, which are saved and described without what the optimizer keeps of them."""
    return keras.Model(network.inputs, network.outputs, name=network.name)


def save_weights(network: keras.Model, path: Path):
    """Write the network's weights to a .weights.h5 file, whole; OSError if the disk is full."""
    with written_whole(path) as beside:
        beside.write_bytes(bytes(sum(weight.nbytes for weight in network.get_weights()) + 2 ** 20))
        without_optimizer(network).save_weights(beside)  # h5py would tell of a full disk in a row of tracebacks


def load_weights(network: keras.Model, path: Path):
    """Give the network the weights of a file; UserError if they are not for it, or no finite numbers."""
    try:
        without_optimizer(network).load_weights(path)
    except Exception as error:  # h5py and Keras raise many kinds
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise UserError(f"{path}: not weights of this network ({reason})") from None
    if not all(math.isfinite(float(abs(weight).sum())) for weight in network.get_weights()):
        raise UserError(f"{path}: holds weights that are no finite numbers; take another checkpoint")


# --- What was trained on what -----------------------------------------------------------------------------------

def load_mean(network: keras.Model, files: list[Path]):
    """Give the network the mean of the weights in `files`, of models that were fine-tuned from the same one.

    Wortsman et al.: Model soups: averaging weights of multiple fine-tuned models improves accuracy without increasing
    inference time, ICML 2022.
    """
    models = []
    for file in files:
        load_weights(network, file)
        models.append(network.get_weights())
    network.set_weights([np.mean(weights, axis=0) for weights in zip(*models)])


def training_record(data: Iterable[str], unit: str, items: int, validated: int, command: str, starts=()) -> dict:
    """config.json's "trained": on what, how many of `unit` ("words"), by which command, with which versions, after what.

    data: names; starts: the same records of the models that it started from, several where their mean was taken.
    """
    return {"data": list(data), unit: items, f"{unit}_validated": validated, "command": command,
            "date": datetime.date.today().isoformat(), "commit": git_commit(), "versions": backend.versions(),
            **({"averaged": len(starts)} if len(starts) > 1 else {}), "before": ancestry(starts)}


def git_commit() -> str | None:
    """The commit of this checkout, or None where there is no git."""
    try:
        done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=Path(__file__).parent, capture_output=True, text=True)
    except OSError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def ancestry(starts: list[dict | None]) -> list[dict]:
    """The records `starts`, and all that led to them: each once, none before one that started from it."""
    steps = []
    for trained in filter(None, starts):
        steps += [{name: fact for name, fact in trained.items() if name != "before"}, *trained.get("before", [])]
    return [step for k, step in enumerate(steps) if step not in steps[k + 1:]]


# --- Reports ----------------------------------------------------------------------------------------------------

def finish(folder: Path, network: keras.Model, config: dict, metrics: dict[str, float], kept: str, scored_on: str):
    """Write config.json with the scores, model_summary.txt and report.md, and delete the state to resume from.

    kept: "best" or "last", which weights were; scored_on: a sentence that says what the metrics were taken on.
    """
    scores = {name: value if math.isfinite(value) else None for name, value in metrics.items()}  # JSON knows no NaN
    write_json(folder / "config.json", {**config, "scores": scores})
    write_summary(folder / "model_summary.txt", network)
    write_report(folder / "report.md", folder.name, config["trained"], metrics, kept, scored_on)
    (folder / STATE).unlink(missing_ok=True)


def write_summary(path, network):
    lines = io.StringIO()
    without_optimizer(network).summary(print_fn=lambda line, line_break=True: lines.write(line + "\n"), line_length=100)
    with written_whole(path) as beside:
        beside.write_text(lines.getvalue(), encoding="utf8")


def describe_step(trained):
    unit = next(name.removesuffix("_validated") for name in trained if name.endswith("_validated"))
    hours = f"{trained['hours']} hours" if "hours" in trained else "an interrupted run"
    items = f"{trained[unit]:,} {unit} of {', '.join(trained['data'])}" if trained[unit] else "no training"
    mean = f", from the mean of {trained['averaged']} models' weights" if "averaged" in trained else ""
    return f"{trained['date']}, {hours}, {items}{mean}:\n\n    {trained['command']}\n"


def write_report(path, name, trained, metrics, kept, scored_on):
    """report.md: what was trained on what, how, and how well it does."""
    steps = "\n".join(describe_step(step) for step in ancestry([trained]))
    rows = "\n".join(f"| {name.replace('_', ' ')} | {value:{',' if isinstance(value, int) else '.4f'}} |"
                     for name, value in metrics.items())
    with written_whole(path) as beside:
        beside.write_text(f"""# {name}

Trained on {backend.hardware()}, the last step first; the models that a command names to start from are made further down:

{steps}
{scored_on}

| metric | value |
| --- | --- |
{rows}

The weights are the {kept} ones{" by the loss on these" if kept == "best" else ""}.

![Losses and scores, of this training and those before it](losses.png)
""", encoding="utf8")
