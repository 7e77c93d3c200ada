"""What there is to choose about a training, as options of every training script, and the folder for it; needs no Keras.

    >>> recipe.add_options(parser)
    >>> recipe.Recipe.of(vars(parser.parse_args(argv))).lr
    0.001
"""
import contextlib
import dataclasses
import importlib.util
from pathlib import Path

import command
from command import UserError, number, whole
from words.models import WEIGHTS

state = command.later("fitting.state")

OPTIMIZERS = "adam", "adamw", "muon", "sgd", "rmsprop", "nadam"
SCHEDULES = "cosine", "constant"


@dataclasses.dataclass
class Recipe:
    """How weights are fitted; `add_options` says what each value means."""
    nbepochs: int = 20
    batch_size: int = 64
    opt: str = "adamw"
    lr: float = 1e-3
    schedule: str = "cosine"
    early_stopping: int = 0
    validate_every: int = 0
    augment: float = 1.0
    dropout: float = 0.0
    keep_last: bool = False
    random_state: int = 0

    @classmethod
    def of(cls, options: dict) -> "Recipe":
        """The Recipe among parsed options, {name: value}."""
        return cls(**{field.name: options[field.name] for field in dataclasses.fields(cls)})

    def batches(self, items: int) -> int:
        """Batches of a whole training on `items` images an epoch."""
        return -(-self.nbepochs * items // self.batch_size)


def add_options(parser: command.Parser, **defaults):
    """The options of Recipe, and those of where and on what a training runs; `defaults` replaces Recipe's."""
    default = Recipe(**defaults)
    add = parser.add_argument_group("training").add_argument
    add("--nbepochs", "--epochs", type=whole(0), default=default.nbepochs,
        help=f"times the data are gone through (default {default.nbepochs}); 0: only score what --pretrained_path gives")
    add("--batch_size", type=whole(1, 65536), default=default.batch_size, help=f"(default {default.batch_size})")
    add("--opt", choices=OPTIMIZERS, default=default.opt, help=f"optimizer (default {default.opt})")
    add("--lr", type=number(1e-12, 1e3), default=default.lr, help=f"highest learning rate (default {default.lr:g})")
    add("--schedule", choices=SCHEDULES, default=default.schedule,
        help="cosine: down to 0 at the end (default); both rise over the first 2 %%, 500 batches at most")
    add("--early_stopping", type=whole(0), metavar="N", default=default.early_stopping,
        help="stop when N batches have no lower mean loss than the N before (default 0: never)")
    add("--validate_every", type=whole(0), metavar="N", default=default.validate_every,
        help="validate every N batches, not only after each epoch")
    add("--augment", type=number(0, 1), default=default.augment, metavar="SHARE",
        help="share of the images that is changed at random; the others are shown as they are (default 1: all are changed)")
    add("--no_augment", dest="augment", action="store_const", const=0.0, help="the same as --augment 0")
    add("--dropout", type=number(0, 0.99), default=default.dropout, metavar="SHARE",
        help="share of a layer's outputs left out at random in training (default 0)")
    add("--keep_last", action="store_true", help="final weights: the last ones, not the best")
    add("--random_state", type=whole(0), default=default.random_state, help="seed of weights, split, order and augmentation")
    add = parser.add_argument_group("job").add_argument
    add("--G", "--gpus", type=command.gpu_ids,
        help="GPU ids, 0 (the default) or 0,1; -1: the CPU, as is a machine without GPU")
    add("--workers", type=whole(1, 1024),
        help="processes that read images (default: one a core for a GPU; for the CPU 1, which is the training's own)")
    add("--save_path", type=Path, default=Path("models"), help="where model folders are (default models)")
    add("--model_name", default="model", help="name of the new model's folder")
    add("--resume", action="store_true", help="go on with an interrupted training of this name")
    add("--overwrite", action="store_true", help="replace a model of this name")
    add("--tensorboard", type=board, metavar="DIR", help="also log there for TensorBoard")
    add("--show_batch", metavar="PNG", type=Path, help="draw a batch as the network sees it, and stop")


def board(text: str) -> str:
    """An argparse type: a folder for TensorBoard, which must be installed."""
    if not importlib.util.find_spec("tensorboard"):
        raise UserError("--tensorboard needs TensorBoard: pip install tensorboard")
    return text


WRITTEN = ("config.json", *WEIGHTS.values(), "model.onnx", "history.csv", "losses.png", "model_summary.txt", "report.md",
           "skipped.csv")


@contextlib.contextmanager
def opened(folder: Path, resume: bool, overwrite: bool):
    """Keeps a new model's folder for this process; it is made, and removed if nothing was trained.

    UserError if another run is in it, if it would overwrite something unasked, or has nothing whole to resume.
    """
    if resume and overwrite:
        raise UserError("--resume goes on, --overwrite starts afresh: give one of them")
    with command.new_folder(folder):
        begun, finished = (folder / state.STATE).exists(), (folder / WEIGHTS["final"]).exists()
        if resume and not begun:
            raise UserError(f"{folder}: " + ("this training has finished; --pretrained_path goes on from its weights"
                                             if finished else
                                             "no interrupted training is here to --resume; leave that option out"))
        if resume:
            state.read(folder)  # a damaged one is told before the work
        elif not overwrite and not command.is_empty(folder):
            raise UserError(f"{folder}: is there already; " + ("--resume goes on with it, " if begun else "")
                            + "--overwrite replaces it, --model_name makes another")
        for left in folder.glob(f".*.{state.STATE}"):  # of a process that was killed while it wrote
            left.unlink()
        yield


def clear(folder: Path):
    """Delete what a training writes: of the model that --overwrite replaces."""
    for name in (*WRITTEN, state.STATE):
        (folder / name).unlink(missing_ok=True)
