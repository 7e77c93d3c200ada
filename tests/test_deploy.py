"""docs/deploy.md and docs/compose.yaml: commands that parse, rights that suffice and are no more than needed."""
import contextlib
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import index
import search
from command import UserError
from index.web import create_app
from tests.fake_reader import names, save
from tests.photo_index import start

DOCS = Path(__file__).parent.parent / "docs"
TEXT = (DOCS / "deploy.md").read_text(encoding="utf8")
VALUES = {"PHOTOS": "/srv/photos", "SITE": "photos.example.org", "PASSWORD_FILE": "/srv/page.txt", "ADMIN_PASSWORD": "a",
          "INDEXER_PASSWORD": "b1", "READER_PASSWORD": "c1"}


@pytest.fixture(scope="module")
def compose():
    """The compose file, its variables filled in as Docker does it."""
    yaml = pytest.importorskip("yaml", reason="the compose file's tests need PyYAML: pip install pyyaml")
    filled = re.sub(r"\$\{(\w+)(:\?[^}]*)?\}", lambda found: VALUES[found[1]], (DOCS / "compose.yaml").read_text())
    return yaml.safe_load(filled.replace("$$", "$"))


def test_the_compose_file_names_what_is_there(compose):
    services = compose["services"]
    assert services.keys() == {"database", "indexer", "serve", "proxy"}
    for service in services.values():
        if "build" in service:
            assert (DOCS / service["build"]["context"] / service["build"]["dockerfile"]).is_file()
        assert set(service["networks"]) <= compose["networks"].keys()
        assert set(service.get("depends_on", [])) <= services.keys()
        assert set(service.get("secrets", [])) <= compose["secrets"].keys()
        places = [each.split(":")[0] for each in service["volumes"] if isinstance(each, str)]
        assert all((DOCS / place).is_file() if place.startswith(".") else place in compose["volumes"] for place in places)
    variables = set(re.findall(r"\$\{(\w+)", (DOCS / "compose.yaml").read_text()))
    named = re.findall(r"(?m)^([A-Z_]+)=", TEXT)
    assert named[0] == "COMPOSE_PROJECT_NAME" and variables == VALUES.keys() == set(named[1:])


@pytest.fixture
def program():
    """Docker Compose's command, of version 2 or 1."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and not subprocess.run([*command, "version"], capture_output=True).returncode:
            return command
    pytest.skip("needs Docker Compose, though no engine: apt-get install docker-compose")


def test_compose_takes_the_file_as_the_text_has_it_prepared(compose, program, tmp_path):
    yaml = pytest.importorskip("yaml")
    for name in ("docs/compose.yaml", "docs/roles.sh", "Dockerfile.cpu"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(DOCS.parent / name, tmp_path / name)
    command = [*program, "--file", "docs/compose.yaml", "config"]
    environment = {name: value for name, value in os.environ.items() if name not in VALUES}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode and re.search("|".join(VALUES), done.stderr)  # a missing value is named
    names = re.search(r"```\n(COMPOSE_PROJECT_NAME=.*?)```", TEXT, re.DOTALL)[1]
    (tmp_path / "docs/.env").write_text(re.sub(r"(?m)^(\w+)=.*", lambda found: f"{found[1]}={VALUES[found[1]]}" if found[
        1] in VALUES else found[0], names))
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    found = yaml.safe_load(done.stdout)
    assert found["services"].keys() == compose["services"].keys()
    assert found.get("name", "photo-search") == "photo-search"  # version 1 does not say it
    for name, service in found["services"].items():
        for part in ("command", "environment", "image", "restart"):
            assert service.get(part) == compose["services"][name].get(part)
        assert [each["source"] for each in service.get("secrets", [])] == compose["services"][name].get("secrets", [])
        for volume in service["volumes"]:
            if str(tmp_path) in str(volume):  # which version 1 writes as one word
                assert "docs/roles.sh" in str(volume) and "/docker-entrypoint-initdb.d/roles.sh" in str(volume)
    assert found["secrets"]["password"]["file"] == VALUES["PASSWORD_FILE"]
    assert found["services"]["serve"]["build"]["context"] == str(tmp_path)


def test_only_the_proxy_is_reached_from_elsewhere(compose):
    assert [name for name, service in compose["services"].items() if "ports" in service] == ["proxy"]
    assert [name for name, service in compose["services"].items() if "outside" in service["networks"]] == ["proxy"]
    assert compose["networks"]["inside"]["internal"] is True


def test_its_commands_are_search_pys(compose):
    for name in ("indexer", "serve"):
        service = compose["services"][name]
        program, script, *arguments = service["command"]
        args = search.parse_args(arguments)
        assert (program, script) == ("python", "search.py") and args.index.split("@")[1] == "database/photos"
        photos, = service["volumes"]
        assert photos["source"] == photos["target"] and photos["read_only"]  # photos are known by their paths
    assert args.behind_proxy and args.host == "0.0.0.0" and args.name == ["photos.example.org"]
    assert str(args.password_file) == "/run/secrets/" + compose["services"]["serve"]["secrets"][0]
    assert compose["services"]["proxy"]["command"][-1] == f"serve:{args.port}"


def test_each_role_has_its_own_password_and_waits_for_the_database(compose):
    services, database = compose["services"], compose["services"]["database"]
    for name, role in (("indexer", "indexer"), ("serve", "reader")):  # who only reads has no other password
        address = search.parse_args(services[name]["command"][2:]).index
        assert address == f"postgresql://{role}@database/{database['environment']['POSTGRES_DB']}"
        assert services[name]["environment"] == {"PGPASSWORD": VALUES[f"{role.upper()}_PASSWORD"]}
        assert services[name]["depends_on"] == {"database": {"condition": "service_healthy"}}
    assert database["environment"] == {"POSTGRES_DB": "photos", **{name: VALUES[value] for name, value in (
        ("POSTGRES_PASSWORD", "ADMIN_PASSWORD"), ("INDEXER_PASSWORD",) * 2, ("READER_PASSWORD",) * 2)}}
    assert database["healthcheck"]["test"] == "pg_isready --username postgres --dbname photos"
    script = (DOCS / "roles.sh").read_text()
    assert '--set indexer="$INDEXER_PASSWORD" --set reader="$READER_PASSWORD"' in script and "--dbname photos" in script
    assert compose["secrets"]["password"] == {"file": VALUES["PASSWORD_FILE"]}
    assert all(service["restart"] == "unless-stopped" for service in services.values())


def test_the_page_is_healthy_as_long_as_it_answers(compose):
    kind, *command = compose["services"]["serve"]["healthcheck"]["test"]
    port = search.parse_args(compose["services"]["serve"]["command"][2:]).port
    assert kind == "CMD" and f":{port}/" in command[-1]
    server = start(create_app(None, "password", allowed_hosts=("photos.example.org",)))  # None: it asks no index
    command = [sys.executable, *command[1:-1], command[-1].replace(str(port), str(server.effective_port))]
    assert subprocess.run(command).returncode == 0
    server.close()
    assert subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 1


def test_what_is_kept_is_in_volumes_and_all_else_is_read_only(compose):
    kept = {name: each.split(":") for name, service in compose["services"].items() for each in service["volumes"]
            if isinstance(each, str) and not each.startswith(".")}
    # where postgres:17 and caddy keep what they have; a newer postgres does it elsewhere
    assert kept == {"database": ["database", "/var/lib/postgresql/data"], "proxy": ["certificates", "/data"]}
    assert "./roles.sh:/docker-entrypoint-initdb.d/roles.sh:ro" in compose["services"]["database"]["volumes"]
    assert compose["services"]["database"]["image"] == "postgres:17"
    assert all(each["read_only"] for service in compose["services"].values() for each in service["volumes"]
               if not isinstance(each, str))


def test_rights_suffice_and_are_no_more(postgres, reader):
    script = (DOCS / "roles.sh").read_text().split("<<'END'\n")[1].split("END")[0]
    documented = re.search(r"```sql\n(.*?)```", TEXT, re.DOTALL)[1]
    assert re.sub(r":'\w+'", "'...'", script) == documented
    postgres.run("CREATE DATABASE photos")
    try:
        postgres.run(documented.replace("'...'", "'secret'"), "photos")
        indexer, who_reads = (postgres.url("photos", name, "secret") for name in ("indexer", "reader"))
        save("photos/a.png", "word")
        search.main(["index", "photos", "--index", indexer])
        found = index.open(who_reads)
        assert names(found.find("word")) == ["a.png"]
        found.store._all("SELECT set_config('default_transaction_read_only', 'off', false)")  # as an attacker might
        with pytest.raises(UserError, match="permission denied"):
            found.store.put_file(b"/x", 1, 1, 1, 1, None)
        found.close()
    finally:
        with contextlib.suppress(Exception):
            postgres.run("DROP OWNED BY indexer, reader", "photos")
        postgres.run("DROP DATABASE photos WITH (FORCE)")
        postgres.run("DROP ROLE IF EXISTS indexer, reader")


def test_the_commands_in_the_text_parse():
    for line in re.findall(r"(?m)^python search\.py (.*)$", TEXT):
        search.parse_args(line.split("#")[0].split())


def test_the_threat_model_has_ten_lines():
    assert len(re.findall(r"(?m)^\d+\. ", TEXT.split("## The threat model")[1])) == 10
