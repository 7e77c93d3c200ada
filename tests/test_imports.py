"""The house: which module may import which, where Keras is, and what each file says of itself."""
import ast
import functools
import graphlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = "words", "render", "photos", "index", "fitting"
TRAINING = {"fitting", "utils", "gru_cpu", "page_network", "train", "train_pages"}  # where Keras is
BACKENDS = {"tensorflow", "jax", "torch"}

# Within words, imports run down this list only, within a row freely
WORDS = [{"batches", "calibration"}, {"reader"}, {"lexicon", "network", "ngram", "plots", "results", "sheets", "splits"},
         {"ctc", "graph", "images", "lists", "metrics", "models"}, {"alphabet", "compiled", "image_files"}]


def sources():
    files = [*ROOT.glob("*.py"), *(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))]
    return {path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__"): path
            for path in files}


SOURCES = sources()


@functools.cache
def imports(name, module_level=False):
    """Names of what a module imports, anywhere in it, or outside of functions only; command.later's too."""
    tree = ast.parse(SOURCES[name].read_text(encoding="utf8"))
    inside = {child for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
              for child in ast.walk(node)} if module_level else ()
    found = set()
    for node in ast.walk(tree):
        if node in inside:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{name}, line {node.lineno}: imports are written in full"
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {each if each in SOURCES else node.module for each in inner}
        elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "later":
            found |= {argument.value for argument in node.args if isinstance(argument, ast.Constant)}
    return found


def tops(names):
    return {name.partition(".")[0] for name in names}


def own(names):
    """Those of the project among imported names."""
    return {name for name in names if name in SOURCES}


def drawn():
    """{package, or module beside the scripts: those that it imports}, as CONTRIBUTING.md draws them."""
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf8")
    lines = text.split("Imports run one way:\n\n")[1].split("\n\n")[0].splitlines()
    return {name.strip(): set(others.split()) for name, _, others in (line.partition("->") for line in lines)}


DRAWN = drawn()
SCRIPTS = {name for name in SOURCES if "." not in name} - DRAWN.keys()


def test_imports_are_those_that_are_drawn():
    found = {name: set() for name in DRAWN}
    for name in SOURCES:
        if (top := name.partition(".")[0]) in DRAWN:
            found[top] |= tops(own(imports(name))) - {top}
    assert found == DRAWN, "\n".join(f"    {name:13} -> {' '.join(sorted(others))}" for name, others in found.items())


def test_what_is_drawn_runs_one_way():
    assert set(PACKAGES) < DRAWN.keys()
    graphlib.TopologicalSorter(DRAWN).prepare()  # raises CycleError
    modules = {name: {other for other in own(imports(name)) if not other.startswith(f"{name}.")}  # its face
               for name in SOURCES}
    graphlib.TopologicalSorter(modules).prepare()


def test_no_script_is_imported():
    assert {name: found for name in SOURCES if (found := imports(name) & SCRIPTS)} == {}


def test_imports_within_words_run_down():
    floor = {f"words.{name}": k for k, row in enumerate(WORDS) for name in row}
    for name in floor:
        for other in imports(name):
            if other.startswith("words."):
                assert floor[name] <= floor[other], f"{name} imports {other}, which stands above it"
    assert floor.keys() == {name for name in SOURCES if name.startswith("words.")}


def reached(name):
    """All that a module imports, by others too."""
    found, new = set(), {name}
    while new:
        found |= new
        new = {other for each in own(new) for other in imports(each)} - found
    return found


@pytest.mark.parametrize("name", sorted(SOURCES))
def test_keras_is_reached_where_networks_are_trained_only(name):
    if name.partition(".")[0] not in TRAINING:
        assert not tops(reached(name)) & {"keras", *BACKENDS}
    assert name == "gru_cpu" or not tops(imports(name, module_level=True)) & BACKENDS


def test_reading_and_searching_need_nothing_that_requirements_read_leaves_out():
    """What asks for more is left out: words.graph builds what a model folder lacks. See also .ci/run."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf8").splitlines()
    left_out = {re.match(r"[\w-]+", line)[0] for line in lines if line[0] not in "#-"}
    assert {"rapidfuzz", "pikepdf", "lxml"} <= left_out
    modules = sorted(name for name in SOURCES if name.startswith(("words.", "photos.", "index."))
                     and name not in ("words.graph", "words.plots", "index.postgres", "photos.parquet"))
    code = f"import sys, importlib; sys.modules |= dict.fromkeys({left_out}); [*map(importlib.import_module, {modules})]"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


def test_the_decoder_needs_numpy_and_numba_alone():
    code = ("import sys; before = set(sys.modules); import words.ctc; "
            "print(*{name.partition('.')[0] for name in set(sys.modules) - before} - set(sys.stdlib_module_names))")
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "numba", "words"} <= set(found)
    assert not {"cv2", "PIL", "keras", "tensorflow", "onnxruntime", "command"} & set(found)


@pytest.mark.parametrize("path", [*SOURCES.values(), *sorted((ROOT / "benchmarks").glob("*.py"))],
                         ids=lambda path: path.relative_to(ROOT).as_posix())
def test_no_function_below_main_takes_args(path):
    """Parsed options stay in parse_args and main, which hand on what a function needs. `*args` is another thing."""
    tree = ast.parse(path.read_text(encoding="utf8"))
    below = [node for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))]
    takes = [node.lineno for node in below
             if "args" in [each.arg for each in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]]
    handed = [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Call)
              and ast.unparse(node.func) not in ("getattr", "vars")
              and "args" in map(ast.unparse, (*node.args, *(keyword.value for keyword in node.keywords)))]
    assert not takes and not handed, f"{path.name}: args in lines {takes + handed}"


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


def test_importing_index_loads_nothing_slow():
    code = "import sys, index, search; print([name for name in ('numpy', 'numba', 'keras', 'flask') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr
