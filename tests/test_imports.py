"""The house: which module may import which, where Keras is, and what each file says of itself."""
import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = "words", "render", "photos", "index", "fitting"
SHARED = "command", "processes", "utils", "gru_cpu", "page_network", "onnx_graph"  # modules beside the scripts
KERAS = {"fitting", "utils", "gru_cpu", "page_network"}  # and, as scripts, train.py, train_pages.py, export.py

# Imports run down this list only, within a row freely.
FLOORS = [{"utils", "page_network"}, {"index"}, {"photos"}, {"fitting", "gru_cpu", "onnx_graph"}, {"render"}, {"words"},
          {"processes"}, {"command"}]
# And within words: reader -> {lexicon, ctc, images} -> alphabet
WORDS = [{"batches", "calibration"}, {"reader"}, {"lexicon", "network", "plots", "sheets", "splits"},
         {"ctc", "graph", "images", "lists", "metrics", "models"}, {"alphabet", "augment", "compiled"}]


def sources():
    files = [*ROOT.glob("*.py"), *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))]
    return {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
            for path in files}


def imports(path, module_level=False):
    """Names of the modules that a file imports, anywhere in it, or outside of functions only; command.later's too."""
    tree = ast.parse(path.read_text(encoding="utf8"))
    inside = {child for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
              for child in ast.walk(node)} if module_level else ()
    found = set()
    for node in ast.walk(tree):
        if node in inside:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "later":
            found |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return found


SOURCES = sources()
SCRIPTS = {name for name in SOURCES if "." not in name and name not in (*SHARED, *PACKAGES)}


def own(found):
    """Those of the project among imported names, as the modules they are in."""
    return {name for name in found if name in SOURCES}


def floor(name, floors):
    return next((k for k, rooms in enumerate(floors) if name in rooms), None)


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_imports_run_one_way(name):
    top = name.partition(".")[0]
    for other in own(imports(SOURCES[name])):
        room = other.partition(".")[0]
        assert room not in SCRIPTS, f"{name} imports the script {room}"
        if top in SCRIPTS or room == top:
            continue
        assert floor(top, FLOORS) <= floor(room, FLOORS), f"{name} imports {other}, which stands above it"
    if top == "words" and name != "words":
        for other in own(imports(SOURCES[name])):
            if other.startswith("words."):
                below = floor(other.split(".")[1], WORDS)
                assert floor(name.split(".")[1], WORDS) <= below, f"{name} imports {other}, which stands above it"


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_keras_is_where_networks_are_trained_only(name):
    found = {each.partition(".")[0] for each in imports(SOURCES[name])}
    if name.partition(".")[0] not in KERAS:
        assert not found & {"keras", "tensorflow", "jax", "torch"}, name
    at_module_level = {each.partition(".")[0] for each in imports(SOURCES[name], module_level=True)}
    assert name == "gru_cpu" or not at_module_level & {"tensorflow", "jax", "torch"}, name


def test_the_decoder_needs_numpy_and_numba_alone():
    code = ("import sys; before = set(sys.modules); import words.ctc; "
            "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))")
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "numba", "words"} <= set(found)
    assert not {"cv2", "PIL", "keras", "tensorflow", "onnxruntime", "command"} & set(found)


@pytest.mark.parametrize("name", sorted(SCRIPTS))
def test_only_a_scripts_main_and_what_checks_options_take_args(name):
    for node in ast.walk(ast.parse(SOURCES[name].read_text(encoding="utf8"))):
        if isinstance(node, ast.FunctionDef) and node.name not in ("main", "check"):
            assert "args" not in [argument.arg for argument in node.args.args], f"{name}.{node.name} takes args"


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_each_module_says_what_it_is_for(name):
    assert ast.get_docstring(ast.parse(SOURCES[name].read_text(encoding="utf8")))


def test_the_scripts_are_those_that_the_readme_names():
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    assert not [name for name in SCRIPTS if f"{name}.py" not in readme]


def test_an_image_is_opened_in_formats_of_our_list_only():
    """Pillow starts Ghostscript on an EPS, whatever its name, unless told which formats it may open."""
    for path in [*SOURCES.values(), *(ROOT / "benchmarks").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Image.open":
                assert "formats" in [keyword.arg for keyword in node.keywords], f"{path.name}:{node.lineno}"
