"""index/guard.py: what must not get through to the search page, by Flask's client and by sockets to a running server."""
import http.client
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from photo_index import start, three_photos

from command import UserError
from index import guard, open_store, web


@pytest.fixture
def found(tmp_path):
    return three_photos(tmp_path)


@pytest.fixture
def client(found):
    return web.create_app(found).test_client()


# --- Who is answered --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/", "/?q=budget", "/results?q=a", "/photo/1", "/photo/1/small.jpg", "/static/page.css",
                                  "/nothing"])
def test_every_answer_is_guarded(client, path):
    headers = client.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy.pop("default-src") == "'none'" and policy.pop("base-uri") == policy.pop("frame-ancestors") == "'none'"
    assert set(policy.values()) == {"'self'"}
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and "Set-Cookie" not in headers


@pytest.mark.parametrize("host, status", [
    ("localhost", 200), ("LOCALHOST:8000", 200), ("127.0.0.1:8000", 200), ("[::1]:8000", 200), ("192.168.1.7:8000", 200),
    ("localhost.", 200), ("evil.example", 421), ("localhost.evil.example", 421), ("evil.example:8000", 421),
    ("127.0.0.1.evil.example", 421), ("", 421), ("localhost:8000:8000", 421), ("localhost/", 421), ("localhost evil", 421),
    ("user@localhost", 421), ("[::1", 421)])
def test_only_our_own_names_are_answered(client, host, status):
    assert client.get("/", headers={"Host": host}).status_code == status


def test_other_names_can_be_allowed(found):
    client = web.create_app(found, allowed_hosts=("notes.example",)).test_client()
    assert client.get("/", headers={"Host": "notes.example"}).status_code == 200
    assert client.get("/", headers={"Host": "localhost"}).status_code == 421


def test_other_sites_may_link_but_not_fetch(client):
    picture = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"}
    assert client.get("/photo/1/small.jpg", headers=picture).status_code == 403
    assert client.get("/results?q=a", headers={"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"}).status_code == 403
    assert client.get("/?q=a", headers={"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}).status_code == 200
    assert client.get("/results?q=a", headers={"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"}).status_code == 200


PASSWORD = "correct horse ä"


@pytest.fixture
def locked(found):
    return web.create_app(found, PASSWORD)


def sign_in(client, password, **more):
    return client.post("/login", data={"password": password, "next": "/?q=tea"}, **more)


def test_without_the_password_there_is_nothing(locked):
    client = locked.test_client()
    for path in ("/results?q=a", "/photo/1/small.jpg", "/photo/1/piece.jpg?at=0,0,9,0,9,9,0,9"):
        assert client.get(path).status_code == 401
    answer = client.get("/photo/1?q=tea")
    assert answer.status_code == 302 and answer.location == "/login?next=/photo/1?q%3Dtea"
    text = client.get(answer.location).get_data(as_text=True)
    assert 'value="/photo/1?q=tea"' in text and 'autocomplete="current-password"' in text
    assert client.get("/static/page.css").status_code == 200


def test_with_the_password_there_is_all_until_signing_out(locked):
    client = locked.test_client()
    assert sign_in(client, "wrong horse").status_code == 401 and client.get("/results").status_code == 401
    answer = sign_in(client, PASSWORD)
    assert answer.status_code == 302 and answer.location == "/?q=tea"
    assert "HttpOnly" in answer.headers["Set-Cookie"] and "SameSite=Lax" in answer.headers["Set-Cookie"]
    assert client.get("/photo/1/small.jpg").status_code == 200 and "Sign out" in client.get("/").get_data(as_text=True)
    client.post("/logout")
    assert client.get("/results").status_code == 401


def test_a_cookie_of_another_run_is_worth_nothing(found, locked):
    client, other = locked.test_client(), web.create_app(found, PASSWORD).test_client()
    cookie = sign_in(client, PASSWORD).headers["Set-Cookie"].split(";")[0].split("=", 1)[1]
    for value in (cookie, "known=1", ""):
        other.set_cookie("search", value)
        assert other.get("/results").status_code == 401


@pytest.mark.parametrize("after", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "",
                                   "/\t/evil.example"])
def test_signing_in_leads_nowhere_else(locked, after):
    answer = locked.test_client().post("/login", data={"password": PASSWORD, "next": after})
    assert answer.status_code == 302 and answer.location == "/"


def test_guesses_are_limited_by_address(locked):
    client = locked.test_client()
    assert [sign_in(client, f"guess {i}").status_code for i in range(12)] == [401] * 10 + [429] * 2
    refused = sign_in(client, PASSWORD)
    assert refused.status_code == 429 and refused.headers["Retry-After"] == "600"
    assert sign_in(client, PASSWORD, environ_base={"REMOTE_ADDR": "192.168.1.9"}).status_code == 302


@pytest.mark.parametrize("behind_proxy", [False, True])
def test_a_proxy_says_who_guesses_where_there_is_one(found, behind_proxy):
    server = start(web.create_app(found, password="correct horse"), behind_proxy=behind_proxy)

    def guess(address):
        connection = http.client.HTTPConnection("127.0.0.1", server.effective_port)
        connection.request("POST", "/login", "password=wrong", {"Content-Type": "application/x-www-form-urlencoded",
                                                                "X-Forwarded-For": address})
        return connection.getresponse().status

    assert [guess("192.0.2.1") for _ in range(11)] == [401] * 10 + [429]
    assert guess("192.0.2.2") == (401 if behind_proxy else 429)
    server.close()


def test_guesses_come_back_after_a_while_and_after_the_right_one():
    now = [0.0]
    attempts = guard.Attempts(most=2, period=60, clock=lambda: now[0])
    assert [attempts.allow("10.0.0.1") for _ in range(3)] == [True, True, False]
    assert attempts.allow("10.0.0.2")
    now[0] = 61
    assert attempts.allow("10.0.0.1")
    attempts.forget("10.0.0.1")
    assert [attempts.allow("10.0.0.1") for _ in range(3)] == [True, True, False]


def test_a_network_of_ipv6_counts_as_one_address():
    attempts = guard.Attempts(most=2)
    assert [attempts.allow(f"2001:db8::{i}") for i in range(3)] == [True, True, False]
    assert attempts.allow("2001:db8:0:1::1") and attempts.allow("fe80::1%eth0")


def test_a_form_too_large_is_refused(locked):
    assert sign_in(locked.test_client(), "a" * 1_000_000).status_code == 413


def test_passwords_come_from_the_first_line_of_a_file(tmp_path):
    path = tmp_path / "password.txt"
    path.write_text(" long enough \r\nmore\n", encoding="utf8")
    assert guard.read_password(path) == " long enough "
    for content in (b"", b"\nsecond line", b"short", b"\xff\xfe\xff\xfe\xff\xfe\xff\xfe\xff"):
        path.write_bytes(content)
        with pytest.raises(UserError, match="password"):
            guard.read_password(path)
    with pytest.raises(UserError, match="none.txt: No such file or directory; name a file with a password"):
        guard.read_password(tmp_path / "none.txt")


@pytest.mark.parametrize("host", ["0.0.0.0", "", "::", "192.0.2.1"])
def test_others_are_served_only_with_a_password(host, tmp_path):
    with pytest.raises(UserError, match="--password-file"):
        web.serve(tmp_path / "photos.index", host=host)


def test_which_addresses_are_this_machine():
    assert guard.is_loopback("127.0.0.1") and guard.is_loopback("127.8.8.8") and guard.is_loopback("::1")
    assert not guard.is_loopback("192.0.2.1") and not guard.is_loopback("")
    with pytest.raises(UserError, match="--host"):
        guard.is_loopback("not a name")


# --- A running server -------------------------------------------------------------------------------------------

@pytest.fixture
def port(found):
    server = start(web.create_app(found))
    yield server.effective_port
    server.close()


def ask(port, request, seconds=10):
    """What the server answers to raw bytes, until it closes."""
    with socket.create_connection(("127.0.0.1", port), seconds) as connection:
        connection.sendall(request)
        answer = b""
        try:
            while part := connection.recv(65536):
                answer += part
        except ConnectionResetError:
            pass
    return answer


GET = b"GET %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


def status_of(answer):
    return int(answer.split(b" ", 2)[1])


def test_a_running_server_answers(port):
    answer = ask(port, GET % b"/photo/1/small.jpg")
    assert status_of(answer) == 200 and b"\xff\xd8\xff" in answer and b"\nServer:" not in answer


@pytest.mark.parametrize("path", [b"/static/../web.py", b"/static/..\\web.py", b"/../../../../etc/passwd",
                                  b"/static/%2e%2e%2fweb.py", b"//etc/passwd", b"/photo/1/%2e%2e/%2e%2e/etc/passwd",
                                  b"file:///etc/passwd"])
def test_raw_paths_lead_nowhere(port, path):
    answer = ask(port, GET % path)
    assert status_of(answer) == 404 and b"root:" not in answer and b"import" not in answer


@pytest.mark.parametrize("request_, status", [
    (b"GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n", 421),
    (b"GET / HTTP/1.0\r\n\r\n", 421),
    (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 100_000 + b"\r\n\r\n", 431),
    (b"GET /?q=" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n", 431),
    (b"POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000000\r\n\r\n", 413),
    (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400)])
def test_raw_requests_that_are_refused(port, request_, status):
    assert status_of(ask(port, request_)) == status


@pytest.mark.slow
def test_a_request_that_comes_drop_by_drop_is_hung_up_on(port):
    with socket.create_connection(("127.0.0.1", port), 15) as slow:
        slow.settimeout(0.3)
        slow.sendall(b"GET / HTTP/1.1\r\n")
        for _ in range(40):  # 12 seconds
            try:
                slow.sendall(b"a")
                if not slow.recv(100):
                    return
            except TimeoutError:
                pass
            except (BrokenPipeError, ConnectionResetError):
                return
    pytest.fail("it still listens")


@pytest.mark.slow
def test_a_connection_that_goes_on_asking_is_kept(port):
    with socket.create_connection(("127.0.0.1", port), 5) as connection:
        for _ in range(6):  # over 6 seconds, three times its patience
            connection.sendall(b"GET /static/icon.svg HTTP/1.1\r\nHost: localhost\r\n\r\n")
            answer = b""
            while b"</svg>" not in answer:
                part = connection.recv(65536)
                assert part, "it hung up"
                answer += part
            time.sleep(1)


def test_a_name_with_several_addresses_is_served(found):
    server = web.create_server(web.create_app(found), "localhost", 0)
    server.close()


@pytest.mark.slow
def test_slow_clients_hold_nobody_up_and_are_hung_up_on(port):
    slow = [socket.create_connection(("127.0.0.1", port), 15) for _ in range(40)]
    for connection in slow:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: local")  # and then nothing
    started = time.monotonic()
    assert status_of(ask(port, GET % b"/?q=budget")) == 200 and time.monotonic() - started < 5
    try:
        assert all(connection.recv(100) == b"" for connection in slow)  # closed; a timeout would raise
    finally:
        for connection in slow:
            connection.close()


def served(*arguments):
    script = Path(__file__).resolve().parent.parent / "search.py"
    return subprocess.Popen([sys.executable, script, "serve", *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


@pytest.mark.slow
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_from_the_command_line_until_it_is_stopped(tmp_path, stop):
    open_store(tmp_path / "search.index", create=True).close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with served("--index", tmp_path / "search.index", "--port", str(port)) as process:
        try:
            assert process.stdout.readline().startswith(b"http://127.0.0.1:%d " % port)
            assert b"No photos yet" in ask(port, GET % b"/")
            process.send_signal(stop)
            assert process.wait(20) == 0
        finally:
            process.kill()


@pytest.mark.slow
def test_it_serves_others_from_the_command_line_with_a_password_only(tmp_path):
    open_store(tmp_path / "search.index", create=True).close()
    with served("--index", tmp_path / "search.index", "--host", "0.0.0.0") as process:
        _, error = process.communicate(timeout=60)
    assert process.returncode == 2 and error.count(b"\n") == 1 and b"--password-file" in error


def test_a_port_in_use_is_one_line(found, port):
    with pytest.raises(UserError, match=f"port {port} of 127.0.0.1.*--port"):
        web.create_server(web.create_app(found), "127.0.0.1", port)
