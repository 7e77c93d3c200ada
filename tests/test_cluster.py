"""--ray: photos read by processes of a cluster on this machine, of which one is killed, and what the user can mend."""
import collections
import contextlib
import functools
import glob
import http.server
import importlib.util
import json
import operator
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import types
from pathlib import Path

import pytest

import index
import pages
import photos
import search
from command import UserError
from index import files, indexing
from index.entries import Entries
from photos.page import Page
from tests.fake_reader import ALPHABET, ROOT, FakeReader, end_once, everything, save, save_many, start, texts_of

needs_ray = pytest.mark.skipif(not importlib.util.find_spec("ray"),
                               reason="Ray's tests need it: pip install -r requirements-cluster.txt")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # Ray's own settings


@pytest.fixture(scope="module")
def local():
    """A cluster of two processes on this machine, of which nothing is left afterwards."""
    import cluster
    with cluster.joined("local", processors=2):
        folder = os.path.dirname(cluster.ray._private.worker._global_node.get_session_dir_path())
        yield
    assert not os.path.exists(folder) and not [path for path in glob.glob("/proc/[0-9]*/cmdline") if folder in text_of(path)]


def text_of(path):
    with contextlib.suppress(OSError):  # a process that has ended
        return Path(path).read_bytes().decode(errors="replace")
    return ""


@pytest.fixture
def joined(local, reader, monkeypatch):
    """--ray local is the cluster `local`; the current folder is an empty one, and photos say what is written on them."""
    import cluster
    monkeypatch.setattr(cluster, "joined", lambda *_: contextlib.nullcontext())
    return reader


def counts(said):
    """What a run counted; between that, Ray may say that a process has ended."""
    return re.findall(r"\d+ photos.*", said.replace("tables/", "out/"))


def save_all():
    """Photos of every kind."""
    for k in range(24):
        save(f"photos/{k % 3}/{k}.png", f"photo {k} of\nmany" + " broken" * (k == 5) + " faulty" * (k == 6))
    save("photos/deadly.png", "deadly photo")
    save("photos/again.png", "photo 1 of\nmany")  # known by its content
    save(b"photos/\xff.jpg", "any name")
    save("photos/empty.png", " ")
    Path("photos/none.png").write_bytes(b"")


# --- Results ----------------------------------------------------------------------------------------------------

@needs_ray
@pytest.mark.slow
def test_a_cluster_of_which_a_process_is_killed_reads_as_one_machine(joined, place, capsys):
    import ray

    import cluster
    save_all()
    cluster.check(ray.get_runtime_context().gcs_address)
    search.main(["index", "photos", "--index", place, "--ray", "local"])
    by_cluster = capsys.readouterr()
    assert os.path.exists("deadly photo")  # its process has ended
    search.main(["index", "photos", "--index", "one.index"])
    here = capsys.readouterr()
    assert counts(by_cluster.out) == counts(here.out)
    assert "28 photos; now 25 read, 1 known" in here.out and "3 failed" in here.out
    assert everything(place) == everything("one.index")
    failures = [sorted(line for line in said.err.replace("\r", "\n").splitlines() if line.startswith(os.getcwd()))
                for said in (by_cluster, here)]
    assert failures[0] == failures[1] and len(failures[0]) == 3
    for options in ([], *[["--retry"]] * (not index.is_url(place))):  # nothing is new; the failures once more
        search.main(["index", "photos", "--index", place, "--ray", "local", *options])
        search.main(["index", "photos", "--index", "one.index", *options])
        assert everything(place)[::2] == everything("one.index")[::2]


@needs_ray
@pytest.mark.slow
def test_a_photo_that_ends_each_process_is_a_failure(joined, capsys):
    for k in range(16):
        save(f"photos/{k}.png", f"photo {k}" + " poison" * (k == 7))
    search.main(["index", "photos", "--ray", "local"])
    assert "16 photos; now 15 read, 0 known" in (said := capsys.readouterr()).out
    assert "photos/7.png: 2 processes ended as they read it" in said.err
    assert texts_of(index.open("photos/search.index")) == {f"{k}.png": f"photo {k}" * (k != 7) for k in range(16)}


@needs_ray
@pytest.mark.slow
def test_parquet_has_a_row_a_word(joined, monkeypatch, capsys):
    from pyarrow import parquet
    monkeypatch.setattr("words.models.find_model", lambda path: (Path(path), None))
    monkeypatch.setattr(photos, "load_reader", lambda *_, **options: FakeReader())
    monkeypatch.setattr("photos.parquet.PART", 10)
    save_all()
    save("photos/0/6.png", "sprint budget")  # page networks know of no faults
    pages.main(["--image_path", "photos", "--result_path", "tables", "--ray", "local"])
    by_cluster = counts(capsys.readouterr().out)
    pages.main(["--image_path", "photos", "--result_path", "out"])
    assert counts(capsys.readouterr().out) == by_cluster != []
    assert sorted(os.listdir("tables")) == ["errors.csv", *(f"words-0000{k}.parquet" for k in (1, 2, 3))]
    rows = [row for path in sorted(glob.glob("tables/*.parquet")) for row in parquet.read_table(path).to_pylist()]
    found = collections.defaultdict(list)
    for row in rows:
        found[row.pop("photo")].append(row)
    read = [Page.from_dict(json.loads(path.read_text(errors="surrogateescape"))) for path in Path("out").rglob("*.json")]
    assert len(read) == len(found) == 27
    for page in read:
        assert found[page.file.encode("utf8", "surrogateescape").decode("utf8", "backslashreplace")] == [
            {"width": page.width, "height": page.height, "line": word.line, "paragraph": word.paragraph,
             "polygon": word.polygon, "text": word.text, "confidence": word.confidence,
             "alternatives": [{"text": text, "confidence": sure} for text, sure in word.alternatives]}
            for word in page.words] or [dict.fromkeys(rows[0], None) | {"width": page.width, "height": page.height}]
    Path("tables/words-00002.parquet").unlink()
    save("photos/none.png", "now it can be read")
    pages.main(["--image_path", "photos", "--result_path", "tables", "--ray", "local", "--resume"])
    assert re.fullmatch(r"12 photos, \d+ words, 1 unreadable: see out/errors.csv", *counts(capsys.readouterr().out))
    again = [row["photo"] for path in glob.glob("tables/*.parquet") for row in parquet.read_table(path).to_pylist()]
    assert collections.Counter(again) == collections.Counter(
        {name: len(of_photo) for name, of_photo in found.items()} | {"none.png": 5})


def test_a_cluster_that_cannot_be_joined_changes_nothing(reader, monkeypatch):
    def results(address, *arguments, **options):
        if address != "local":
            raise UserError("cannot be joined")
        yield [Page("a.png", 1, 1, [])]

    pytest.importorskip("pyarrow")
    monkeypatch.setitem(sys.modules, "cluster", types.SimpleNamespace(check=lambda address: None, results=results))
    monkeypatch.setattr("words.models.find_model", lambda path: (Path(path), None))
    monkeypatch.setattr(photos, "load_reader", lambda *_, **options: FakeReader())
    save("photos/a.png", "word")
    ask = ["--image_path", "photos", "--result_path", "out/new"]
    with pytest.raises(UserError, match="joined"):
        pages.main([*ask, "--ray", "host:1"])
    assert os.listdir() == ["photos"]
    pages.main([*ask, "--ray", "local"])
    before = {path: path.read_bytes() for path in Path("out/new").iterdir()}
    assert {path.name for path in before} == {"errors.csv", "words-00001.parquet"}
    with pytest.raises(UserError, match="joined"):
        pages.main([*ask, "--ray", "host:1", "--overwrite"])
    assert {path: path.read_bytes() for path in Path("out/new").iterdir()} == before
    pages.main([*ask, "--ray", "local", "--overwrite"])
    assert {path.name for path in Path("out/new").iterdir()} == {"errors.csv", "words-00001.parquet"}


def test_what_another_run_has_done_meanwhile_is_left_out(reader, place, monkeypatch):
    def results(address, make, items, wanted, **_):
        work = make()
        for k, item in enumerate(items):
            if k == 10:  # of 24
                search.main(["index", "photos", "--index", place])
            if wanted(item):
                yield work(item)

    save_many(24)
    monkeypatch.setitem(sys.modules, "cluster", types.SimpleNamespace(check=lambda address: None, results=results))
    search.main(["index", "photos", "--index", place, "--ray", "local"])
    assert len(reader.read_files) == len(set(reader.read_files)) == 24
    search.main(["index", "photos", "--index", "one.index"])
    assert everything(place) == everything("one.index")


def test_what_comes_twice_is_kept_once(reader, place):
    """As when a process ends behind the results of its block, which another one does again."""
    store = index.open_store(place, create=True)
    entries = Entries(store, ALPHABET.characters)
    save("photos/a.png", "some words")
    file = files.look(os.path.abspath(b"photos/a.png"))
    reading = indexing.read(FakeReader(), entries, file.path, file)
    assert indexing.keep(store, file, lambda file: reading, False) == "read"
    before = everything(place)
    for retry in (False, True):
        assert indexing.keep(store, file, lambda file: reading, retry) == "known"
        store.add({"hash": file.content, "orientation": 1, "width": 1, "height": 1, "error": ""}, [], b"", replace=retry)
    assert everything(place) == before and len(before[1]) == 1


@needs_ray
@pytest.mark.slow
def test_who_is_left_does_the_work_of_a_machine_that_is_lost(joined, monkeypatch):
    import cluster
    starts, begin = [], cluster._Crew._begin
    monkeypatch.setattr(cluster._Crew, "_begin", lambda crew: starts.append(crew) if len(starts) == 2 else (
        starts.append(crew), begin(crew)))  # there is no processor for a third one
    asked, items = [], ["deadly", *range(20)]

    def work(item):
        return end_once(item) if item == "deadly" else item

    done = list(cluster.results("local", lambda: work, items, wanted=lambda item: asked.append(item) or item != 7))
    assert len(starts) == 3 and set(done) == {None, *range(20)} - {7} and len(done) == 20
    assert set(asked) == set(items)


@needs_ray
@pytest.mark.slow
def test_a_machine_with_another_version_and_a_process_that_cannot_begin_end_the_run(joined, monkeypatch):
    import cluster
    assert {f"{ROOT}/command.py", f"{ROOT}/index/indexing.py", f"{ROOT}/photos/lines.py"} <= cluster._digests([]).keys()
    save("model/config.json", "{}")
    save("model/final.weights.h5", "weights")
    save("model/report.md", "whatever")
    same = cluster._digests(["model", "en"])
    assert {path for path in same if path.startswith(os.getcwd())} == {
        os.path.abspath(f"model/{name}") for name in ("config.json", "final.weights.h5")}
    one_more = functools.partial(functools.partial, operator.add, 1)
    assert sorted(cluster.results("local", one_more, [1, 2, 3], same=["model"])) == [2, 3, 4]
    with pytest.raises(UserError, match="2 processes ended as they began"):
        list(cluster.results("local", functools.partial(os._exit, 1), [1]))
    with pytest.raises(UserError, match="No such file or directory: 'none'; each machine needs this checkout") as caught:
        list(cluster.results("local", functools.partial(open, "none"), [1]))
    assert "\n" not in str(caught.value)
    with pytest.raises(UserError, match="^--ray: none: no such folder; each machine needs"):
        list(cluster.results("local", functools.partial(indexing.Folder, "none"), [1]))
    monkeypatch.setattr(cluster, "_digests", lambda _: {**same, os.path.abspath("model/config.json"): "another"})
    with pytest.raises(UserError, match=f"{socket.gethostname()} has another .*model/config.json than this machine"):
        list(cluster.results("local", one_more, [1]))


def child_of(process, name):
    """The number of the process's child that runs the program of this name."""
    children = text_of(Path(f"/proc/{process.pid}/task/{process.pid}/children")).split()
    child, = [int(number) for number in children
              if os.path.basename(text_of(f"/proc/{number}/cmdline").split("\0")[0]) == name]
    return child


@needs_ray
@pytest.mark.slow
@pytest.mark.parametrize("daemon", ["raylet", "gcs_server"])
def test_a_run_whose_ray_ends_says_how_to_go_on(reader, daemon):
    save_many(100 * os.cpu_count())
    process, shown = start("index", "photos", "--ray", "local", pause=0.5), ""
    while not re.search(r" [1-9]\d*/\d", shown):  # a photo is read
        shown += (part := process.stderr.read(1))
        assert part, shown
    os.kill(child_of(process, daemon), signal.SIGKILL)
    *_, said = process.communicate(timeout=120)[1].splitlines()
    assert process.returncode == 2, said
    assert re.fullmatch(r"fake_reader.py: --ray: Ray's own process at \S+ ended .* the same command goes on .*", said)
    assert index.open("photos/search.index").stats()["photos"]


# --- A worker ---------------------------------------------------------------------------------------------------

def worker(folder, known=()):
    store = index.open_store("worker.index", create=True)
    return indexing.Worker(folder, FakeReader, Entries(store, ALPHABET.characters), set(known))


def test_photos_that_a_worker_lacks_are_failures(reader):
    save("photos/a.png", "word")
    folder = indexing.Folder("photos")
    found, = folder.walk(None)
    work = worker(folder)
    (file, reading), = work(found).items()
    assert file.path == found[0] and [word["alternatives"][0][0] for word in reading.words] == ["word"]
    assert worker(folder, {file.content})(found) == {file: None}
    os.rename("photos", "elsewhere")
    (file, reading), = work(found).items()
    assert file[:3] == found and f"not there on {socket.gethostname()}" in reading.error and not reading.words


# --- What the user can mend -------------------------------------------------------------------------------------

@pytest.mark.parametrize("missing, line", [
    ("ray", "search.py index photos --index a.index"), ("ray", "pages.py --image_path photos --result_path out"),
    pytest.param("pyarrow", "pages.py --image_path photos --result_path out", marks=needs_ray),
    pytest.param("pyarrow", "search.py index s3://boards/2026 --index a.index", marks=needs_ray)])
def test_without_a_package_the_error_says_how_to_install_it(reader, missing, line):
    save("photos/a.png", "word")
    script, *arguments = line.split()
    program = f"import runpy, sys; sys.modules['{missing}'] = None; runpy.run_path('{ROOT}/{script}', None, '__main__')"
    done = subprocess.run([sys.executable, "-c", program, *arguments, "--ray", "local"], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(ROOT)}, timeout=120)
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and os.listdir() == ["photos"], done.stderr
    assert "pip install -r requirements-cluster.txt" in done.stderr
    assert f"\n{missing}>=" in text_of(ROOT / "requirements-cluster.txt")


@needs_ray
def test_a_token_is_shown_where_ray_has_one(tmp_path):
    def mode(**more):
        code = "import cluster, os; print(os.environ.get('RAY_AUTH_MODE'))"
        environment = {name: value for name, value in os.environ.items() if name != "RAY_AUTH_MODE"}
        return subprocess.run([sys.executable, "-c", code], cwd=ROOT, env={**environment, "HOME": str(tmp_path), **more},
                              capture_output=True, text=True, timeout=120).stdout.strip()

    assert mode() == "None"
    (tmp_path / ".ray").mkdir()
    (tmp_path / ".ray/auth_token").write_text("0" * 64)
    assert mode() == "token" and mode(RAY_AUTH_MODE="disabled") == "disabled"


@needs_ray
def test_addresses_without_a_cluster_are_refused(monkeypatch):
    import cluster
    monkeypatch.setattr(cluster, "PATIENCE", 0.2)
    for address in ("auto", "ray://head:10001", "head", "head:", ":6379", "head:0", "head:70000", ""):
        with pytest.raises(UserError, match="HOST:PORT"):
            cluster.check(address)
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = f"127.0.0.1:{server.getsockname()[1]}"
        with pytest.raises(UserError, match=r"no cluster answers there \(timed out\)"):
            cluster.check(silent)
    server = http.server.HTTPServer(("127.0.0.1", 0), http.server.SimpleHTTPRequestHandler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with contextlib.closing(server.socket), pytest.raises(UserError, match="no cluster answers there .something else does"):
        cluster.check(f"127.0.0.1:{server.server_port}")
    server.shutdown()
    for address in (silent, "nowhere.invalid:6379"):
        with pytest.raises(UserError, match="no cluster answers there.*ray start --head"):
            cluster.check(address)


def test_buckets_and_options_that_make_no_sense_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for options in ([], ["--ray", "local"]):
        with pytest.raises(UserError, match="s3://boards/2026: a bucket is read with --ray.*--index"):
            search.main(["index", "s3://boards/2026", *options])
    for option in (["--pdf"], ["--draw", "drawn"], ["--ink", "ink"], ["--boxes_only"], ["--threads", "3"]):
        with pytest.raises(UserError, match=f"leave {option[0]} out"):
            pages.main(["--image_path", "photos", "--result_path", "out", "--ray", "local", *option])
    with pytest.raises(UserError, match="s3://boards/2026: a bucket is read with --ray"):
        pages.main(["--image_path", "s3://boards/2026", "--result_path", "out"])
    assert not os.listdir()
