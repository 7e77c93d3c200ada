"""What a training script tells users who made mistakes, as its tests ask it."""
import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
BEGUN = {"batch": 3, "history": [], "best": 1.5, "recent": [], "since_validation": [], "stopped_early": False, "seconds": 1,
         "settings": {"--opt": "adamw"}, "unreadable": {}}  # the state of a training that was interrupted
ALL = """
import importlib, json, sys
script, said = importlib.import_module(sys.argv[1]), []
for argv in json.loads(sys.argv[2]):
    try:
        script.main(argv)
    except script.UserError as error:
        said.append(str(error))
json.dump([said, "keras" in sys.modules], sys.stderr)
"""


def check(script, options, cases):
    """Each case is (argv, part of the one line that `script` must say of it), with `options` before argv; all of them are
    made in one process, which must not have loaded Keras for that."""
    done = subprocess.run([sys.executable, "-c", ALL, script, json.dumps([[*options, *argv] for argv, _ in cases])],
                          cwd=ROOT, capture_output=True, text=True, timeout=300)
    said, keras = json.loads(done.stderr.splitlines()[-1])
    assert len(said) == len(cases) and not keras, (said, done.stderr)
    for (argv, expected), line in zip(cases, said):
        assert expected in line and "\n" not in line, (argv, line)
