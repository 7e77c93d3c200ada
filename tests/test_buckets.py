"""photos/buckets.py, by servers that answer as S3 and Google's Cloud Storage do what pyarrow asks them."""
import contextlib
import http.server
import json
import os
import pickle
import re
import sys
import threading
import types
import urllib.parse
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from PIL import Image

from command import UserError

pytest.importorskip("pyarrow", reason="buckets need PyArrow: pip install -r requirements-cluster.txt")
import index
import pages
import photos
import search
from index import files, indexing
from photos import buckets, in_bucket, parquet
from photos.buckets import Bucket
from photos.files import read_photo
from photos.page import Page
from tests.fake_reader import save

DATE = "Mon, 30 Nov 2026 12:00:00 GMT"
MODIFIED = 1796040000  # the same, seconds


class Files(http.server.BaseHTTPRequestHandler):
    """One bucket, `archive`, of the files in the folder `bucket`; those with "secret" in their name may not be read."""
    protocol_version = "HTTP/1.1"

    def do_HEAD(self):
        self.do_GET()

    def send(self, key):
        """The content of a file, or the part of it that is asked for."""
        if "secret" in key and self.command == "GET":
            return self.answer(403, b"<Error><Code>AccessDenied</Code><Message>not for you</Message></Error>")
        with open(f"bucket/{key}", "rb") as file:
            content = file.read()
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        self.answer(200 if self.command == "HEAD" else 206, content[int(first):int(last or len(content)) + 1])

    def answer(self, status, content):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", DATE)
        self.end_headers()
        self.wfile.write(content if self.command == "GET" else b"")

    def log_message(self, *_):
        pass


def keys(prefix):
    """The names of the files in the bucket that begin with `prefix`."""
    found = sorted(os.path.relpath(os.path.join(folder, name), "bucket") for folder, _, names in os.walk("bucket")
                   for name in names)
    return [key for key in found if key.startswith(prefix)]


class S3(Files):
    """As Amazon's S3; another bucket, `private`, may not be looked into."""

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        key = urllib.parse.unquote(url.path).removeprefix("/archive").lstrip("/")
        if url.path.startswith("/private"):
            return self.answer(403, b"<Error><Code>AccessDenied</Code><Message>not for you</Message></Error>")
        if not url.path.startswith("/archive"):
            return self.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        if not key:
            return self.answer(200, self.listing(keys(query.get("prefix", ""))).encode())
        if not os.path.isfile(f"bucket/{key}"):
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        self.send(key)

    def listing(self, found):
        entries = "".join(f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-30T12:00:00.000Z</LastModified>"
                          f"<Size>{os.path.getsize(f'bucket/{key}')}</Size></Contents>" for key in found)
        return (f"<ListBucketResult><Name>archive</Name><IsTruncated>false</IsTruncated><KeyCount>{len(found)}</KeyCount>"
                f"{entries}</ListBucketResult>")


class GCS(Files):
    """As Google's Cloud Storage."""

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        key = urllib.parse.unquote(re.sub("^(/download)?(/storage/v1/b)?/archive(/o)?/?", "", url.path))
        if "/archive" not in url.path:
            self.answer(404, b'{"error": {"code": 404, "message": "no such bucket"}}')
        elif not key:
            self.answer(200, json.dumps({"kind": "storage#objects", "items": [
                self.facts(key) for key in keys(query.get("prefix", ""))]}).encode())
        elif not os.path.isfile(f"bucket/{key}"):
            self.answer(404, b'{"error": {"code": 404, "message": "no such object"}}')
        elif url.path.startswith("/storage") and query.get("alt") != "media":
            self.answer(200, json.dumps(self.facts(key)).encode())
        else:
            self.send(key)

    def facts(self, key):
        return {"kind": "storage#object", "bucket": "archive", "name": key, "size": str(os.path.getsize(f"bucket/{key}")),
                "generation": "1", "timeCreated": "2026-11-30T12:00:00.000Z", "updated": "2026-11-30T12:00:00.000Z"}


@contextlib.contextmanager
def served(answers):
    """The address of a server, HOST:PORT."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), answers)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture(params=["s3", "gs"])
def url(request, tmp_path, monkeypatch):
    """A function from what is in a bucket to its URL."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    options = {"s3": "region=here", "gs": "retry_limit_seconds=1"}[request.param]
    user = {"s3": "", "gs": "anonymous@"}[request.param]
    with served({"s3": S3, "gs": GCS}[request.param]) as address:
        yield lambda path: f"{request.param}://{user}{path}?scheme=http&endpoint_override={address}&{options}"


def test_photos_of_a_bucket_are_as_those_of_a_folder(url):
    for path in ("a.png", "monday/ä b#c.JPG", ".hidden/c.png", "monday/.d.png"):
        save(f"bucket/boards/{path}", f"{path} is read")
    save("bucket/other/e.png", "elsewhere")
    bucket = pickle.loads(pickle.dumps(Bucket(url("archive/boards"))))  # as it gets to the processes of a cluster
    kind, path = bucket.path.decode().split("://")
    assert url("").startswith(f"{kind}://") and path == "archive/boards" and in_bucket(bucket.path) and not in_bucket("a:/b")
    found = sorted(bucket.walk())
    assert found == [(f"{kind}://archive/boards/{name}".encode(), os.path.getsize(f"bucket/boards/{name}"),
                      MODIFIED * 10 ** 9) for name in ("a.png", "monday/ä b#c.JPG")]
    for (path, size, modified), name in zip(found, bucket.names()):
        with bucket.fetched(path) as copy:
            there, here = files.look(copy), files.look(os.fsencode(f"bucket/boards/{name}"))
        assert there._replace(path=b"") == here._replace(path=b"", modified=modified) and there.size == size
        assert bucket.path_of(name) == path and bucket.has(path) and not os.path.exists(copy)


@pytest.fixture
def cluster(monkeypatch):
    """One of this process alone."""
    def results(address, make, items, **_):
        work = make()
        yield from map(work, items)

    monkeypatch.setitem(sys.modules, "cluster", types.SimpleNamespace(check=lambda address: None, results=results))


def test_an_index_of_a_bucket(url, reader, cluster, capsys):
    for path in ("a.png", "monday/b.jpg", "secret.png"):
        save(f"bucket/boards/{path}", f"{path} is read")
    command = ["index", url("archive/boards"), "--ray", "local", "--index", "all.index"]
    search.main(command)
    assert "3 photos; now 2 read, 0 known under another name or date, 0 files gone, 1 failed" in capsys.readouterr().out
    found = index.open("all.index")
    assert [result.file for result in found.find("monday")] == [f"{url('')[:2]}://archive/boards/monday/b.jpg"]
    assert "s3cr3t" not in (said := str(list(found.export()))) and "endpoint" not in said
    os.rename("bucket/boards/a.png", "bucket/boards/c.png")
    os.remove("bucket/boards/monday/b.jpg")
    search.main(command)
    assert "2 photos; now 0 read, 1 known under another name or date, 2 files gone, 0 failed" in capsys.readouterr().out


def test_pages_of_a_bucket(url, reader, cluster, monkeypatch, capsys):
    from pyarrow import parquet
    monkeypatch.setattr("words.models.find_model", lambda path: (path, None))
    monkeypatch.setattr(photos, "load_reader", lambda *_, **options: reader)
    for path in ("a.png", "monday/b.jpg", "secret.png"):
        save(f"bucket/boards/{path}", f"{path} is read")
    pages.main(["--image_path", url("archive/boards"), "--result_path", "out", "--ray", "local"])
    assert "3 photos, 6 words, 1 unreadable" in capsys.readouterr().out
    table = parquet.read_table("out/words-00001.parquet")
    assert list(zip(table["photo"].to_pylist(), table["text"].to_pylist())) == [
        (path, word) for path in ("a.png", "monday/b.jpg") for word in (path, "is", "read")]


def read_pages(path, monkeypatch, *options):
    """{photo: its width} of what pages.py writes of the photos at `path`, read by a cluster."""
    from pyarrow import parquet
    reader = types.SimpleNamespace(look=lambda pixels, name, **_: (Page(name, *pixels.shape[1::-1]), None))
    monkeypatch.setattr("words.models.find_model", lambda path: (path, None))
    monkeypatch.setattr(photos, "load_reader", lambda *_, **options: reader)
    pages.main(["--image_path", path, "--result_path", "out", "--ray", "local", *options])
    rows = [row for path in sorted(Path("out").glob("*.parquet")) for row in parquet.read_table(path).to_pylist()]
    assert len(rows) == len({row["photo"] for row in rows})
    return {row["photo"]: row["width"] for row in rows}


def save_scans():
    """A TIFF of three pages, a PDF of two and a damaged one, in a bucket."""
    for name, widths in (("scan.TIF", (10, 20, 30)), ("monday/ä.pdf", (72, 144)), ("one.tif", (40,))):
        first, *others = [Image.new("L", (width, 10), width) for width in widths]
        os.makedirs(os.path.dirname(f"bucket/boards/{name}"), exist_ok=True)
        first.save(f"bucket/boards/{name}", save_all=True, append_images=others)
    Path("bucket/boards/damaged.pdf").write_text("no PDF")


def test_all_pages_of_scans_in_a_bucket_are_read_as_in_a_folder(url, cluster, monkeypatch, capsys):
    save_scans()
    found = read_pages(url("archive/boards"), monkeypatch)
    assert {name: width for name, width in found.items() if "pdf" not in name} == {
        "scan.TIF#1": 10, "scan.TIF#2": 20, "scan.TIF#3": 30, "one.tif": 40}
    assert "7 photos, 0 words, 1 unreadable" in (said := capsys.readouterr()).out and "7/7" in said.err
    assert Path("out/errors.csv").read_text() == "file,error\ndamaged.pdf,not a readable PDF\n"
    assert found == read_pages("bucket/boards", monkeypatch, "--overwrite") and len(found) == 6


def test_resume_reads_the_pages_that_are_missing(url, cluster, monkeypatch, capsys):
    save_scans()
    found = read_pages(url("archive/boards"), monkeypatch)
    load, tried, damaged = parquet.load_photo, [], {"scan.TIF#2"}

    def load_photo(root, page):
        tried.append(page.file)
        if page.file in damaged:
            raise ValueError("damaged")
        return load(root, page)

    monkeypatch.setattr(parquet, "load_photo", load_photo)
    assert found.keys() - read_pages(url("archive/boards"), monkeypatch, "--overwrite").keys() == {"scan.TIF#2"}
    for collection in (tried, damaged):
        collection.clear()
    capsys.readouterr()
    assert read_pages(url("archive/boards"), monkeypatch, "--resume") == found
    assert tried == ["damaged.pdf", "scan.TIF#2"] and "2 photos, 0 words, 1 unreadable" in capsys.readouterr().out


def test_an_index_of_a_bucket_has_all_pages(url, reader, cluster, monkeypatch):
    monkeypatch.setattr(reader, "read", lambda path, *_, **__: Page(path, *read_photo(path).shape[1::-1]))
    save_scans()
    search.main(["index", url("archive/boards"), "--ray", "local", "--index", "all.index"])
    assert {os.path.basename(photo["file"]): photo["width"] for photo in index.open("all.index").export()} == {
        "scan.TIF": 10, "scan.TIF#2": 20, "scan.TIF#3": 30, "one.tif": 40}


def test_what_cannot_be_read_says_why(url):
    save("bucket/boards/secret.png", "read")
    bucket = Bucket(url("archive/boards"))
    found, = bucket.walk()
    (file, reading), = indexing.Worker(bucket, lambda: None, None, set())(found).items()
    assert file[:3] == found and "DENIED" in reading.error.upper() and "\n" not in reading.error
    os.remove("bucket/boards/secret.png")
    (file, reading), = indexing.Worker(bucket, lambda: None, None, set())(found).items()
    assert reading.error and not bucket.has(found[0])


@pytest.mark.parametrize("place, why", [
    ("archive/none", "no such folder"), ("other/boards", "no such folder"), ("private/boards", "denied|no such folder"),
    ("", "no such folder")])
def test_a_bucket_that_cannot_be_looked_into_is_one_line(url, cluster, place, why):
    save("bucket/boards/a.png", "read")
    with pytest.raises(UserError, match=f"(?i){why}") as caught:
        search.main(["index", url(place), "--ray", "local", "--index", "new.index"])
    assert "\n" not in str(caught.value) and "s3cr3t" not in str(caught.value)
    assert not os.path.exists("new.index")


def test_another_kind_of_url_and_servers_that_do_not_answer_are_one_line(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(buckets, "PATIENCE", 1)
    with pytest.raises(UserError, match="hdfs://archive/boards: photos are in folders, or in s3:// and gs://"):
        Bucket("hdfs://archive/boards")
    for place in ("s3://archive/boards?region=here&", "gs://anonymous@archive/boards?"):
        with pytest.raises(UserError, match="archive/boards: .*(onnect|CURL)") as caught:
            Bucket(f"{place}scheme=http&endpoint_override=127.0.0.1:1")
        assert "\n" not in str(caught.value)
