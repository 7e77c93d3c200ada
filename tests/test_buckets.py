"""photos/buckets.py, by a server that answers as S3 does what pyarrow asks it."""
import http.server
import os
import pickle
import sys
import threading
import types
import urllib.parse
from xml.sax.saxutils import escape

import pytest

from command import UserError

pytest.importorskip("pyarrow", reason="buckets need PyArrow: pip install -r requirements-cluster.txt")
import index
import pages
import photos
import search
from index import files, indexing
from photos import in_bucket
from photos.buckets import Bucket
from tests.fake_reader import save

DATE = "Mon, 30 Nov 2026 12:00:00 GMT"
MODIFIED = 1796040000  # the same, seconds


class S3(http.server.BaseHTTPRequestHandler):
    """One bucket, `archive`, of the files in the folder `bucket`; those with "secret" in their name may not be read."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        url = urllib.parse.urlsplit(self.path)
        query = dict(urllib.parse.parse_qsl(url.query))
        key = urllib.parse.unquote(url.path).removeprefix("/archive").lstrip("/")
        if not url.path.startswith("/archive"):
            return self.answer(404, b"<Error><Code>NoSuchBucket</Code></Error>")
        if not key:
            return self.answer(200, self.listing(query.get("prefix", "")).encode())
        if not os.path.isfile(f"bucket/{key}"):
            return self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        if "secret" in key and self.command == "GET":
            return self.answer(403, b"<Error><Code>AccessDenied</Code><Message>not for you</Message></Error>")
        with open(f"bucket/{key}", "rb") as file:
            content = file.read()
        first, _, last = self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")
        self.answer(200 if self.command == "HEAD" else 206, content[int(first):int(last or len(content)) + 1])

    do_HEAD = do_GET

    def answer(self, status, content):
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Last-Modified", DATE)
        self.end_headers()
        self.wfile.write(content if self.command == "GET" else b"")

    def listing(self, prefix):
        keys = sorted(os.path.relpath(os.path.join(folder, name), "bucket") for folder, _, names in os.walk("bucket")
                      for name in names)
        entries = "".join(f"<Contents><Key>{escape(key)}</Key><LastModified>2026-11-30T12:00:00.000Z</LastModified>"
                          f"<Size>{os.path.getsize(f'bucket/{key}')}</Size></Contents>"
                          for key in keys if key.startswith(prefix))
        return (f"<ListBucketResult><Name>archive</Name><IsTruncated>false</IsTruncated><KeyCount>{len(keys)}</KeyCount>"
                f"{entries}</ListBucketResult>")

    def log_message(self, *_):
        pass


@pytest.fixture
def url(tmp_path, monkeypatch):
    """What a URL of the bucket ends with."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "me")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cr3t")
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), S3)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"?scheme=http&region=here&endpoint_override=127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_photos_of_a_bucket_are_as_those_of_a_folder(url):
    for path in ("a.png", "monday/ä b#c.JPG", ".hidden/c.png", "monday/.d.png"):
        save(f"bucket/boards/{path}", f"{path} is read")
    save("bucket/other/e.png", "elsewhere")
    bucket = pickle.loads(pickle.dumps(Bucket(f"s3://archive/boards{url}")))  # as it gets to the processes of a cluster
    assert bucket.path == b"s3://archive/boards" and in_bucket(bucket.path) and not in_bucket("a:/b")
    found = sorted(bucket.walk())
    assert found == [(f"s3://archive/boards/{name}".encode(), os.path.getsize(f"bucket/boards/{name}"), MODIFIED * 10 ** 9)
                     for name in ("a.png", "monday/ä b#c.JPG")]
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
    command = ["index", f"s3://archive/boards{url}", "--ray", "local", "--index", "all.index"]
    search.main(command)
    assert "3 photos; now 2 read, 0 known under another name or date, 0 files gone, 1 failed" in capsys.readouterr().out
    found = index.open("all.index")
    assert [result.file for result in found.find("monday")] == ["s3://archive/boards/monday/b.jpg"]
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
    pages.main(["--image_path", f"s3://archive/boards{url}", "--result_path", "out", "--ray", "local"])
    assert "3 photos, 6 words, 1 unreadable" in capsys.readouterr().out
    table = parquet.read_table("out/words-00001.parquet")
    assert list(zip(table["photo"].to_pylist(), table["text"].to_pylist())) == [
        (path, word) for path in ("a.png", "monday/b.jpg") for word in (path, "is", "read")]


def test_what_cannot_be_read_says_why(url):
    save("bucket/boards/secret.png", "read")
    bucket = Bucket(f"s3://archive/boards{url}")
    found, = bucket.walk()
    file, reading = indexing.Worker(bucket, lambda: None, None, set())(found)
    assert file[:3] == found and "ACCESS_DENIED" in reading.error.upper().replace(" ", "_") and "\n" not in reading.error
    os.remove("bucket/boards/secret.png")
    file, reading = indexing.Worker(bucket, lambda: None, None, set())(found)
    assert reading.error and not bucket.has(found[0])
    for place, why in (("s3://archive/none", "no such folder"), ("hdfs://archive/boards", "folders, or in s3:// and gs://")):
        with pytest.raises(UserError, match=why) as caught:
            Bucket(place + url)
        assert "\n" not in str(caught.value)
