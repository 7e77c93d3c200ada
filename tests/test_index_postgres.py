"""index/postgres.py: what may go wrong with a server, and how several indexers share the work."""
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest

import index
import search
from command import UserError
from index import web
from tests.fake_reader import ROOT, everything, names, save, save_many, start, texts_of

SECRET = "s3cr3t/@ %"
PHOTO = {"hash": b"one", "width": 4, "height": 3, "orientation": 1, "error": ""}


@pytest.fixture
def person(postgres):
    """(name, URL) of a user who may connect to the database and nothing else."""
    postgres.run(f"CREATE ROLE person LOGIN PASSWORD '{SECRET}'")
    yield "person", postgres.url("postgres", "person", SECRET)
    postgres.run("DROP OWNED BY person; DROP ROLE person")


def run_search(*arguments, code="search.main()"):
    program = f"import command, search; command.run(lambda: {code})"
    return subprocess.run([sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True)


# --- Addresses and rights ---------------------------------------------------------------------------------------

def test_a_password_is_never_shown(tmp_path):
    pytest.importorskip("psycopg")
    passwords = "s3cr3t", "s3@cr3t", "s3/cr3t", "s3%cr3t", "s3 cr3t"
    urls = [f"postgresql://me:{password}@{host}/photos" for password in passwords
            for host in ("127.0.0.1:1", "nowhere.invalid")]
    urls += [f"postgres://me@127.0.0.1:1/photos?{name}=s3cr3t" for name in ("password", "sslpassword")]
    lines = [[*before, url, *after] for url in urls for before, after in (
        (["stats", "--index"], []), (["stats"], []), (["index", str(tmp_path), "--index"], []), (["index"], []),
        (["copy"], [str(tmp_path)]))]
    program = """import command, json, search, sys
for line in json.loads(sys.argv[1]):
    try:
        command.run(lambda: search.main(line))
    except SystemExit as status:
        print(line, status.code) if status.code != 2 else None
"""
    done = subprocess.run([sys.executable, "-c", program, json.dumps(lines)], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0 and done.stdout == "" and len(done.stderr.splitlines()) == len(lines), done.stderr
    assert "cr3t" not in done.stderr


@pytest.mark.parametrize("url, shown", [
    ("postgres://me:a%40b@host:5433/photos?sslmode=require", "postgresql://me@host:5433/photos?sslmode=require"),
    ("postgresql://host/photos?password=x&sslpassword=y", "postgresql://host/photos"),
    ("postgresql://me%40home:x@/a%2Fb?host=%2Ftmp%2Fpg", "postgresql://me%40home@/a%2Fb?host=%2Ftmp%2Fpg"),
    ("postgresql://[::1]:5433/photos", None), ("postgresql://a:1,b:2/photos?target_session_attrs=any", None),
    ("postgresql://", None)])
def test_an_address_is_the_url_without_passwords(url, shown):
    pytest.importorskip("psycopg")
    from psycopg.conninfo import conninfo_to_dict

    from index.postgres import _address
    parts = {name: value for name, value in conninfo_to_dict(url).items() if "password" not in name}
    assert conninfo_to_dict(_address(url)) == parts
    assert shown is None or _address(url) == shown


def test_the_password_of_an_index_is_not_remembered(reader, postgres, database, person, capsys, monkeypatch):
    name, url = person
    postgres.run(f"GRANT CREATE ON DATABASE postgres TO {name}")
    save("photos/a.png", "word")
    search.main(["index", "photos", "--index", url])
    assert SECRET not in (shown := capsys.readouterr().out) and shown.startswith("postgresql://person@/postgres?host=")
    assert SECRET not in search.last_index().read_text()
    assert postgres.run("SELECT extname FROM pg_extension") == [("plpgsql",)]  # pg_trgm may be forbidden, and is not needed
    monkeypatch.setenv("PGPASSWORD", SECRET)
    search.main(["stats"])
    assert "files                  1" in capsys.readouterr().out
    monkeypatch.setenv("PGPASSWORD", "wrong")
    with pytest.raises(UserError, match="password authentication failed.*pgpass"):
        search.main(["stats"])


def test_a_user_needs_rights(reader, postgres, database, person):
    name, url = person
    save("photos/a.png", "word")
    with pytest.raises(UserError, match="permission denied for database.*docs/deploy.md"):
        search.main(["index", "photos", "--index", url])
    with pytest.raises(UserError, match="no index in it"):
        search.main(["stats", "--index", url])
    search.main(["index", "photos", "--index", database])
    with pytest.raises(UserError, match="permission denied.*docs/deploy.md"):
        search.main(["stats", "--index", url])
    postgres.run(f"GRANT USAGE ON SCHEMA photo_index TO {name}; GRANT SELECT ON ALL TABLES IN SCHEMA photo_index TO {name}")
    assert names(index.open(url).find("word")) == ["a.png"]
    save("photos/b.png", "another")
    with pytest.raises(UserError, match="permission denied"):
        search.main(["index", "photos", "--index", url])


def test_who_reads_cannot_write_nor_ask_for_long(database, monkeypatch):
    from index import postgres
    index.open_store(database, create=True).close()
    monkeypatch.setitem(postgres.SETTINGS[False], "statement_timeout", "50ms")
    with contextlib.closing(index.open_store(database)) as store:
        with pytest.raises(UserError, match="read-only"):
            store.add(PHOTO, [], b"")
        with pytest.raises(UserError, match="timeout; the server is too busy"):
            store._all("SELECT pg_sleep(5)")
        assert store.letters == ""


def test_without_psycopg_the_error_says_how_to_install_it():
    done = run_search("stats", "--index", "postgresql:///photos", code="[__import__('sys').modules.update(psycopg=None), "
                                                                        "search.main()]")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "pip install -r requirements-cluster.txt" in done.stderr and (ROOT / "requirements-cluster.txt").is_file()


# --- Versions and damage ----------------------------------------------------------------------------------------

def test_versions(database, postgres, monkeypatch):
    import psycopg

    from index import postgres as module
    index.open_store(database, create=True).close()
    monkeypatch.setattr(module, "MIGRATIONS", [*module.MIGRATIONS, "ALTER TABLE photos ADD place text"])
    monkeypatch.setattr(module, "VERSION", len(module.MIGRATIONS))
    with pytest.raises(UserError, match="an index of version 1; `python search.py index` brings it up to date"):
        index.open_store(database)
    opened = []
    threads = [threading.Thread(target=lambda: opened.append(index.open_store(database, create=True))) for _ in range(4)]
    with psycopg.connect(database) as other:  # brings it up to date
        other.execute("SELECT pg_advisory_lock(%s)", (module.LOCK,))
        for thread in threads:
            thread.start()
        time.sleep(0.3)
        assert not opened
    for thread in threads:
        thread.join()
    assert len(opened) == 4
    opened[0].add(PHOTO, [], b"")
    assert postgres.run("SELECT place FROM photo_index.photos") == [(None,)]
    monkeypatch.undo()
    for create in (False, True):
        with pytest.raises(UserError, match="version 2, this program knows up to 1"):
            index.open_store(database, create=create)


def test_what_is_no_index_is_refused(database, postgres):
    postgres.run("CREATE SCHEMA photo_index; CREATE TABLE photo_index.photos (x integer)")
    with pytest.raises(UserError, match="not an index of photos"):
        index.open_store(database, create=True)
    with pytest.raises(UserError, match="no index in it"):
        index.open_store(database)
    assert postgres.run("SELECT count(*) FROM pg_tables WHERE schemaname = 'photo_index'") == [(1,)]
    postgres.run("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(UserError, match="LATIN1.*UTF8"):
        index.open_store(postgres.url("latin"), create=True)


def test_damage_is_one_line(reader, database, postgres):
    save("photos/a.png", "word")
    search.main(["index", "photos", "--index", database])
    postgres.run("UPDATE photo_index.photos SET words = 'nothing'")
    with pytest.raises(UserError, match="something else in it than was written"):
        index.open(database).find("word")
    postgres.run("UPDATE photo_index.photos SET posteriors = 'nothing'")
    with pytest.raises(UserError, match="something else in it than was written"):
        index.open(database).find("word")
    postgres.run("DROP TABLE photo_index.photos")
    with pytest.raises(UserError, match="not an index of photos"):
        index.open(database).find("word")


def test_words_are_kept_where_they_are_searched(reader, database, postgres, monkeypatch, tmp_path, capsys):
    from index import blocks
    monkeypatch.setattr(blocks, "AT_ONCE", 2)
    save("photos/a.png", "some words of a photo")
    search.main(["index", "photos", "--index", database])
    cache = tmp_path / "cache" / "crnn_ocr_lite"
    assert not cache.exists()  # an indexer need not have room for all
    assert names(index.open(database).find("words")) == ["a.png"]
    assert cache.stat().st_mode & 0o777 == 0o700
    store = index.open_store(database)
    assert [path.parent for path in store.blocks.iterdir()] == [cache / store.blocks.name]
    save("photos/b.png", "other words")
    search.main(["index", "photos", "--index", database])
    assert sorted(names(index.open(database).find("words"))) == ["a.png", "b.png"]
    identity = store.blocks
    postgres.run("DROP SCHEMA photo_index CASCADE")
    search.main(["index", "photos", "--index", database])
    assert index.open_store(database).blocks != identity
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc/nowhere")
    assert len(index.open(database).find("words")) == 2
    assert "searches begin more slowly" in capsys.readouterr().err


# --- Writers at the same time -----------------------------------------------------------------------------------

def test_photos_appear_in_the_order_of_their_numbers(database):
    """Else a search would go on from the higher number, and never see the lower one."""
    first, second = (index.open_store(database, create=True) for _ in range(2))
    added = []
    other = threading.Thread(target=lambda: added.append(second.add({**PHOTO, "hash": b"two"}, [], b"")))

    def work(execute):
        number, = execute("INSERT INTO photos (hash, width, height, orientation, error, words, posteriors) "
                          "VALUES (?, 1, 1, 1, '', '', '') RETURNING id", (b"one",)).fetchone()
        other.start()
        time.sleep(0.3)
        assert not added
        return number

    number = first._in_transaction(work)
    other.join()
    assert added[0] > number


def test_jobs_are_taken_once_and_come_back(database, monkeypatch):
    from index import postgres
    monkeypatch.setattr(postgres, "WAIT", 0.01)
    first, second = (index.open_store(database, create=True) for _ in range(2))
    paths = [b"/p/%d" % k for k in range(4)]
    mine, others = first.jobs(b"/p", paths, False), second.jobs(b"/p", paths[:3], True)
    elsewhere = second.jobs(b"/p2", [b"/p2/a"], True)
    assert [next(mine), next(others), next(mine)] == [(b"/p/0", False), (b"/p/1", True), (b"/p/2", False)]  # 0 is done now
    mine.close()  # as when its process ends: 2 is free
    assert list(others) == [(b"/p/2", True), (b"/p/3", True)]
    assert list(elsewhere) == [(b"/p2/a", True)]
    monkeypatch.setattr(postgres, "LEASE", "50ms")
    hangs = first.jobs(b"/p", paths[:1], False)
    assert next(hangs) == (b"/p/0", False)
    assert list(second.jobs(b"/p", [], False)) == [(b"/p/0", False)]  # when the lease is over
    assert list(hangs) == []


def test_two_copies_at_once(reader, database):
    save_many(40)
    search.main(["index", "photos"])
    processes = [start("copy", "photos", database) for _ in range(2)]
    outputs = [process.communicate() for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert everything(database) == everything("photos/search.index")


# --- A server that goes away ------------------------------------------------------------------------------------

def test_a_network_that_is_gone_is_noticed_within_a_minute():
    pytest.importorskip("psycopg")
    from index.postgres import _options
    options = _options("postgresql://host/photos?tcp_user_timeout=1000")
    assert options["tcp_user_timeout"] == "1000"  # as the address says
    options = _options("postgresql://host/photos")
    silent = options["keepalives_idle"] + options["keepalives_count"] * options["keepalives_interval"]
    assert silent <= 60 and options["tcp_user_timeout"] <= 60_000 and options["connect_timeout"] <= 60


@pytest.mark.slow
def test_a_server_may_go_away_and_come_back(reader, postgres, database):
    save_many(40)
    search.main(["index", "photos"])
    process = start("index", "photos", "--index", database, pause=0.1)
    index.open_store(database, create=True).close()
    found = index.open(database)
    while found.store.counts()["files"] < 5:
        time.sleep(0.05)
    page = web.create_app(found).test_client()
    assert found.find("photo") and page.get("/?q=photo").status_code == 200
    postgres.stop()
    with pytest.raises(UserError, match="No such file or directory.*says in its own log why"):
        found.find("photo")
    assert [page.get(path).status_code for path in ("/?q=photo", "/results?q=photo", "/photo/1")] == [503] * 3
    postgres.start()
    assert found.find("photo") and page.get("/?q=photo").status_code == 200
    output = process.communicate()
    assert process.returncode == 0, output
    assert everything(database) == everything("photos/search.index")


def test_a_photo_counts_once_when_the_server_was_away(reader, postgres, database, monkeypatch, capsys):
    save_many(3)
    cut_off = ["SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'search.py'"]
    read = reader.read
    monkeypatch.setattr(reader, "read", lambda *asked, **options: (
        postgres.run(cut_off.pop()) if cut_off else None, read(*asked, **options))[1])
    search.main(["index", "photos", "--index", database])
    assert "3 photos; now 3 read, 0 known" in capsys.readouterr().out and not cut_off


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="a small file system is root's to mount")
def test_a_full_disk_is_one_line_and_the_index_stays_whole(reader, postgres, tmp_path):
    folder = Path(tempfile.mkdtemp(dir=postgres.folder))
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=12m,mode=777", "tmpfs", folder]).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        shutil.chown(folder, postgres.folder.owner())
        postgres.run(f"CREATE TABLESPACE small LOCATION '{folder}'")
        postgres.run("CREATE DATABASE small TABLESPACE small")
        save_many(20)
        search.main(["index", "photos", "--index", postgres.url("small")])
        before = everything(postgres.url("small"))
        (folder / "rest").write_bytes(bytes(shutil.disk_usage(folder).free))
        for k in range(100):
            save(f"photos/more{k}.png", f"{k} " + " ".join(f"more{k}{n}" for n in range(60)))
        with pytest.raises(UserError, match="disk is full"):
            search.main(["index", "photos", "--index", postgres.url("small")])
        assert everything(postgres.url("small"))[0].items() >= before[0].items()
        (folder / "rest").unlink()
        search.main(["index", "photos", "--index", postgres.url("small")])
        assert len(texts_of(index.open(postgres.url("small")))) == 120
    finally:
        with contextlib.suppress(Exception):
            postgres.run("DROP DATABASE small WITH (FORCE)")
            postgres.run("DROP TABLESPACE small")
        subprocess.run(["umount", "-l", folder])
