"""Model folders: each is complete in itself.

    config.json          what the network is and does, see `SCHEMA`: {"format": 2, "kind": "words", ...}
    final.weights.h5     its weights, and checkpoint.weights.h5 those with the best validation loss
    model.onnx           the same network for reading without Keras; export.py writes it
    report.md, ...       how it was trained and how well it reads

    >>> folder, weights = find_model("models/iam")
    >>> config = load_config(folder)
    >>> session = open_session(config, weights, build_graph)
"""
import functools
import hashlib
import json
import sys
from pathlib import Path

import fastjsonschema

from command import UserError, written_whole
from words.alphabet import Alphabet

FORMAT = 2  # of model folders; 1 had neither "format" nor "kind"

WEIGHTS = {"final": "final.weights.h5", "checkpoint": "checkpoint.weights.h5"}

ONNX = "model.onnx"

# A preset's blocks: (filters, stride, pooling after it), each (along the width, along the height).
PRESETS = {
    # The 2018 network, as its published weights have it: the one to measure against.
    "seed": dict(stn=True, pad=2, stem=None, rnn="GRU", reset_after=False, n_units=256, time_dense_size=128, blocks=(
        (64, 1, None), (128, 1, None), (256, 1, (2, 2)), (256, 1, None), (512, 1, (1, 2)), (512, 1, None),
        (512, 1, None))),
    # Half the width and height from the first layer on: an eighth of the multiply-adds and a third of the parameters. From
    # nothing it learns better without STN (benchmarks/results/2026-11-23-what-pays.md); the shipped models have one.
    "lite": dict(stn=False, pad=0, stem=32, rnn="GRU", reset_after=True, n_units=160, time_dense_size=128, blocks=(
        (64, 1, (1, 2)), (128, 1, None), (128, 1, (1, 2)), (256, 1, None), (256, 1, (1, 2)), (384, 1, None))),
}


# --- What config.json may say -----------------------------------------------------------------------------------

def _whole(least, most):
    return {"type": "integer", "minimum": least, "maximum": most}


def _row(*items):
    return {"type": "array", "items": list(items), "minItems": len(items), "maxItems": len(items)}


def _or_none(schema):
    return {"anyOf": [schema, {"type": "null"}]}


_BLOCK = _row(_whole(1, 4096), _whole(1, 4), _or_none(_row(_whole(1, 16), _whole(1, 16))))

_NETWORK = {"preset": {"enum": list(PRESETS)}, "width": _whole(16, 2048), "height": _whole(16, 512),
            "stn": {"type": "boolean"},
            "pad": _whole(0, 64), "stem": _or_none(_whole(1, 1024)), "rnn": {"enum": ["GRU", "LSTM"]},
            "reset_after": {"type": "boolean"}, "n_units": _whole(1, 4096), "time_dense_size": _whole(1, 4096),
            "blocks": {"type": "array", "items": _BLOCK, "minItems": 1, "maxItems": 64}}

_TEMPERATURE = {"type": "number", "minimum": 0.01, "maximum": 100}

_DECODING = {"temperature": _TEMPERATURE, "lexicon_temperature": _TEMPERATURE,
             "lexicon_weight": {"type": "number", "minimum": 0, "maximum": 100},
             "lexicon_margin": {"type": "number", "minimum": 0, "maximum": 1000},
             "ngram_temperature": _TEMPERATURE, "ngram_weight": {"type": "number", "minimum": 0, "maximum": 100},
             "ngram_bonus": {"type": "number", "minimum": 0, "maximum": 100}}

SCHEMA = {  # of a word recogniser's config.json, after `migrate`
    "type": "object", "required": ["format", "kind", "alphabet", "network"],
    "properties": {
        "format": {"const": FORMAT}, "kind": {"const": "words"},
        "alphabet": {"type": "string", "minLength": 1, "maxLength": 20000},
        "network": {"type": "object", "properties": _NETWORK, "required": list(_NETWORK), "additionalProperties": False},
        "decoding": {"type": "object", "properties": _DECODING, "additionalProperties": False},
        "trained": {"type": "object"}, "scores": {"type": "object"}}}


def migrate(config: dict) -> dict:
    """A config of any older format as one of the current FORMAT."""
    if "format" not in config:  # format 1: words only, and what a preset got later is missing
        network = config["network"]
        shape = {**PRESETS[network["preset"]], "stn": True, **network}
        config = {"format": 2, "kind": "words", **config, "network": json.loads(json.dumps(shape))}  # lists, no tuples
    return config


def load_config(folder: str | Path, schema: dict = SCHEMA) -> dict:
    """The config.json of a model folder in the current format; UserError if it cannot be read or is not of the schema."""
    path, config = Path(folder) / "config.json", read_config(folder)
    if config["kind"] != schema["properties"]["kind"]["const"]:
        raise UserError(f"{folder}: is a model of {config['kind']}, not of {schema['properties']['kind']['const']}")
    validator = fastjsonschema.compile(schema)
    try:
        validator(config)
        if "alphabet" in config:
            Alphabet(config["alphabet"])
    except fastjsonschema.JsonSchemaValueException as error:
        raise UserError(f"{path}: not a model's: {error.message.removeprefix('data.')[:300]}") from None
    except UserError:
        raise UserError(f"{path}: not a model's: its alphabet names a character twice") from None
    return config


def read_config(folder: str | Path) -> dict:
    """The config.json of a model folder of any kind, in the current format, but not checked further."""
    path = Path(folder) / "config.json"
    try:
        config = json.loads(path.read_text(encoding="utf8"), parse_constant=_refuse)
        json.dumps(config, ensure_ascii=False).encode("utf8")  # half a surrogate pair is no text
        if config.get("format", 1) > FORMAT:
            raise UserError(f"{path}: of format {config['format']}, made by a newer version of this project; this one reads "
                            f"up to {FORMAT}")
        config = migrate(config)
        return {**config, "kind": str(config["kind"])}
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; a model's folder holds one that can be read") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        fault = f" ({str(error)[:200]})" if isinstance(error, ValueError) else ""
        raise UserError(f"{path}: not a model's, or damaged{fault}; copy the model's folder anew from where it came from"
                        ) from None


def _refuse(constant):
    raise ValueError(f"{constant} is no number")


# --- Files of a model -------------------------------------------------------------------------------------------

def find_model(path: str | Path) -> tuple[Path, Path]:
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


def hash_of(weights: str | Path) -> str:
    """The SHA-256 of a weights file, in hexadecimal: what model.onnx says that it was made from."""
    with open(weights, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def export(config: dict, weights: str | Path, build_graph):
    """A model as an onnx.ModelProto, whose metadata make it usable by itself; UserError where the weights are wrong.

    build_graph: the function of the model's kind from (an empty graph.Graph with the weights, config) to a ModelProto, as
    `network.build_graph`.
    """
    try:
        import onnx

        from words.graph import Graph, read_weights
    except ImportError as error:
        raise UserError(f"{weights}: these need {error.name}: pip install -r requirements.txt, here or where `python "
                        f"export.py --model_path {weights}` makes the {ONNX} that is read without it") from None
    try:
        model = build_graph(Graph(read_weights(weights)), config)
    except (ValueError, onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise UserError(f"{weights}: not weights of this network ({' '.join(str(error).split())[:200]}); copy the model's "
                        "folder anew from where it came from") from None
    onnx.helper.set_model_props(model, metadata(config, weights))
    return model


def metadata(config: dict, weights: str | Path) -> dict[str, str]:
    """What model.onnx says of itself, {name: str}: the hash of its weights, and the config but for its history."""
    said = {name: value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)
            for name, value in config.items() if name not in ("trained", "scores")}
    return {**said, "weights_sha256": hash_of(weights)}


def write_onnx(config: dict, weights: str | Path, build_graph) -> Path:
    """Write model.onnx beside the weights, whole; its path."""
    path = Path(weights).parent / ONNX
    content = export(config, weights, build_graph).SerializeToString()
    with written_whole(path) as beside:
        beside.write_bytes(content)
    return path


@functools.cache
def share_memory():
    """Give all networks of this process one arena of memory: an arena keeps what it once had, and they work in turns."""
    import onnxruntime
    where = onnxruntime.OrtMemoryInfo("Cpu", onnxruntime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0,
                                      onnxruntime.OrtMemType.DEFAULT)
    onnxruntime.create_and_register_allocator(where, onnxruntime.OrtArenaCfg({}))


def open_session(config: dict, weights: str | Path, build_graph):
    """The onnxruntime.InferenceSession of a model's weights file, on the CPU; each run is of one thread.

    From model.onnx beside it. Where that is missing, or damaged or of other weights or another config, which is said on
    stderr, from a graph built anew in memory, if requirements.txt is installed (else UserError).
    """
    import onnxruntime
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4  # what goes wrong is raised
    options.enable_mem_pattern = False  # it keeps memory for every size of image that it has seen
    options.add_session_config_entry("session.use_env_allocators", "1")
    share_memory()

    def session(model):
        return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    path = Path(weights).parent / ONNX
    if path.exists():
        try:
            found = session(path.read_bytes())
            wanted, there = metadata(config, weights), found.get_modelmeta().custom_metadata_map
            if all(wanted.get(name) == there.get(name) for name in ("weights_sha256", "network", "alphabet")):
                return found
            fault = "is not of these weights and this config.json"
        except Exception:  # onnxruntime has many kinds of errors for a damaged file
            fault = "is damaged"
        if Path(weights).name == WEIGHTS["final"]:  # a checkpoint has none of its own
            print(f"{path}: {fault}; `python export.py --model_path {path.parent} --overwrite` writes it anew",
                  file=sys.stderr)
    return session(export(config, weights, build_graph).SerializeToString())
