"""index/web.py: the pages, the pictures, and what must not get through, by Flask's client and by sockets to a running server."""
import dataclasses
import io
import os
import re
import shutil
import socket
import threading
import time

import numpy as np
import pytest
from PIL import Image, ImageDraw

from command import UserError
from index import guard, pictures, web

RED, BLUE, WHITE = (200, 30, 30), (30, 30, 200), (255, 255, 255)


# --- A small index of photos drawn here -------------------------------------------------------------------------

@dataclasses.dataclass
class Word:
    text: str
    polygon: list
    line: int = 0
    paragraph: int = 0
    probability: float = 0.9


@dataclasses.dataclass
class Photo:
    path: str
    width: int
    height: int
    date: str = ""


@dataclasses.dataclass
class Page:
    file: str
    words: list


@dataclasses.dataclass
class Result:
    id: int
    file: str
    score: float
    matches: list


class FakeIndex:
    """Finds words by their exact text."""

    def __init__(self):
        self.photos, self.pages, self.asked = {}, {}, []

    def add(self, number, path, size, words):
        self.photos[number] = Photo(str(path), *size, date="2026-11-25T10:00:00")
        self.pages[number] = Page(os.path.basename(path), words)

    def find(self, query, limit=20, all_words=False, since=None, until=None):
        self.asked.append((query, limit, all_words, since, until))
        if query == "broken":
            raise UserError("the quote is not closed")
        found = [(number, [word for word in page.words if word.text in query.split()]) for number, page in self.pages.items()]
        return [Result(number, self.pages[number].file, len(words), words) for number, words in found if words][:limit]

    def photo(self, number):
        return self.photos.get(number)

    def page(self, number):
        return self.pages[number]

    def stats(self):
        return {"photos": len(self.photos), "words": sum(len(page.words) for page in self.pages.values())}


def box(left, top, right, bottom):
    return [[left, top], [right, top], [right, bottom], [left, bottom]]


PLACE = box(1000, 500, 1200, 600)  # its left half is red, its right half blue


@pytest.fixture
def found(tmp_path):
    """An index of three photos: 1 is turned by its EXIF data, 2 is see-through, 3 is far higher than wide."""
    index = FakeIndex()
    upright = Image.new("RGB", (1600, 900), WHITE)
    draw = ImageDraw.Draw(upright)
    draw.rectangle((1000, 500, 1099, 599), RED)
    draw.rectangle((1100, 500, 1199, 599), BLUE)
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned clockwise
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    words = [Word("sprint", PLACE), Word("budget", box(100, 100, 300, 150)), Word("tea", box(100, 200, 200, 240), 1),
             Word("</script><b>", box(300, 200, 400, 240), 1), Word("next", box(100, 700, 200, 740), 2, 1)]
    index.add(1, tmp_path / "turned.jpg", (1600, 900), words)
    Image.new("RGBA", (300, 200), (0, 0, 0, 0)).save(tmp_path / "clear.png")
    index.add(2, tmp_path / "clear.png", (300, 200), [Word("budget", box(10, 10, 90, 30))])
    Image.new("RGB", (300, 1200), RED).save(tmp_path / "high.png")
    index.add(3, tmp_path / "high.png", (300, 1200), [Word("budget", box(10, 1100, 90, 1130))])
    return index


@pytest.fixture
def client(found):
    return web.create_app(found).test_client()


def pixels_of(response):
    assert response.status_code == 200 and response.mimetype == "image/jpeg"
    return np.asarray(Image.open(io.BytesIO(response.data), formats=["JPEG"])).astype(int)


def near(pixel, colour):
    return np.abs(np.array(pixel) - colour).max() < 40


# --- Pages ------------------------------------------------------------------------------------------------------

def test_start_page_says_how_much_there_is(client):
    text = client.get("/").get_data(as_text=True)
    assert "3 photos" in re.sub(r"\s+", " ", text) and "7 words" in re.sub(r"\s+", " ", text)


def test_a_plain_form_finds_photos(client, found):
    text = client.get("/?q=budget+tea&all=1&since=2026-01-01").get_data(as_text=True)
    assert found.asked == [("budget tea", 21, True, "2026-01-01", None)]
    assert re.findall(r'id="photo-(\d)"', text) == ["1", "2", "3"] and "3 photos" in text
    assert 'value="budget tea"' in text and "turned.jpg" in text
    assert 'href="/photo/2?q=budget+tea&amp;all=1&amp;since=2026-01-01"' in text


def test_the_fragment_holds_the_same_results_as_the_page(client):
    page, part = (client.get(f"{path}?q=sprint").get_data(as_text=True) for path in ("/", "/results"))
    assert part in page and "<html" not in part


def test_a_card_shows_the_part_of_the_photo_around_the_match(client):
    windows = re.findall(r'viewBox="(\d+) (\d+) (\d+) (\d+)"', client.get("/results?q=budget").get_data(as_text=True))
    assert windows == [("0", "0", "1200", "900"), ("0", "0", "267", "200"), ("0", "975", "300", "225")]


def test_one_more_than_the_limit_is_asked_for_and_leads_on(client, found):
    text = client.get("/?q=budget&limit=2").get_data(as_text=True)
    assert text.count('class="card"') == 2 and "The best 2 photos" in text and "limit=42" in text
    assert "Show more" not in client.get("/?q=budget&limit=3").get_data(as_text=True)
    client.get("/?q=budget&limit=1000000")
    assert found.asked[-1][1] == web.MOST + 1


def test_nothing_found_and_nothing_indexed(client):
    assert "Nothing found" in client.get("/?q=xyzzy").get_data(as_text=True)
    empty = web.create_app(FakeIndex()).test_client()
    assert "python search.py index PHOTOS" in empty.get("/").get_data(as_text=True)


def test_what_the_index_complains_about_is_shown(client):
    answer = client.get("/results?q=broken")
    assert answer.status_code == 400 and "the quote is not closed" in answer.get_data(as_text=True)


@pytest.mark.parametrize("query", ["", "   ", "'; DROP TABLE photos; --", "(.*)+$", "%00", "\udcff", "100%", "*", '"'])
def test_odd_queries_are_only_queries(client, query):
    assert client.get("/", query_string={"q": query.encode("utf8", "surrogateescape")}).status_code == 200


def test_a_query_too_long_is_refused_in_one_line(client, found):
    answer = client.get("/?q=" + "a" * 10_000)
    assert answer.status_code == 400 and "at most 500 characters; these are 10,000" in answer.get_data(as_text=True)
    assert not found.asked
    assert client.get("/photo/1?q=" + "a" * 10_000).status_code == 400
    assert client.get("/?q=a&since=yesterday").status_code == 400


def test_html_in_query_words_and_names_stays_text(client, found, tmp_path):
    query = '"><script>alert(1)</script>'
    for path in ("/", "/results", "/photo/1"):
        assert "<script>" not in client.get(path, query_string={"q": query}).get_data(as_text=True)
    found.pages[1].file = "<img src=x>.jpg"
    for path in ("/?q=sprint", "/photo/1"):
        text = client.get(path).get_data(as_text=True)
        assert "<img src=x>" not in text and "&lt;img src=x&gt;.jpg" in text and "<b>" not in text


def test_a_name_that_is_no_utf8_is_shown(client, found):
    found.pages[1].file = os.fsdecode(b"caf\xe9\n.jpg")
    assert "caf\ufffd" in client.get("/?q=sprint").get_data(as_text=True)
    assert "caf\ufffd" in client.get("/photo/1").get_data(as_text=True)


def test_the_photo_page_has_its_words_in_order_and_marks_the_found(client):
    text = client.get("/photo/1?q=tea+next").get_data(as_text=True)
    spoken = text[text.index('id="transcript"'):]
    assert re.findall(r"<(mark|span) data-word=\"word-(\d)\">([^<]*)", spoken) == [
        ("span", "0", "sprint"), ("span", "1", "budget"), ("mark", "2", "tea"), ("span", "3", "&lt;/script&gt;&lt;b&gt;"),
        ("mark", "4", "next")]
    assert spoken.count('class="line"') == 3 and spoken.count("<p>") == 2
    assert 'points="100.0,200.0 200.0,200.0 200.0,240.0 100.0,240.0"' in text and 'viewBox="0 0 1600 900"' in text


def test_the_photo_page_leads_to_the_photos_before_and_after(client):
    def ways(number):
        text = client.get(f"/photo/{number}?q=budget").get_data(as_text=True)
        return re.findall(r'rel="(prev|next)" href="/photo/(\d)\?q=budget"', text)
    assert [ways(number) for number in (1, 2, 3)] == [[("next", "2")], [("prev", "1"), ("next", "3")], [("prev", "2")]]
    assert "rel=" not in client.get("/photo/1").get_data(as_text=True).partition("<body")[2]


def test_a_photo_that_is_gone_says_so(client, found):
    os.remove(found.photos[1].path)
    assert "file is gone" in client.get("/?q=sprint").get_data(as_text=True)
    text = client.get("/photo/1?q=sprint").get_data(as_text=True)
    assert "file is gone" in text and "sprint" in text and "<image" not in text
    assert client.get("/photo/1/small.jpg").status_code == 404


@pytest.mark.parametrize("path", [
    "/photo/4", "/photo/0", "/photo/-1", "/photo/1000000000000000000000", "/photo/1.5", "/photo/x", "/photo/1/other.jpg",
    "/photo/../../etc/passwd", "/photo/..%2f..%2fetc%2fpasswd", "/photo/1/../../../../etc/passwd", "/static/../web.py",
    "/static/..%2fweb.py", "/static/%2e%2e/web.py", "/static//etc/passwd", "/photo/1/piece.jpg",
    "/photo/1/piece.jpg?at=1,2,3", "/photo/1/piece.jpg?at=../../etc", "/photo/1/piece.jpg?at=0,0,0,0,0,0,0,0",
    "/photo/1/piece.jpg?at=9000,9000,9100,9000,9100,9100,9000,9100", "/photo/1/piece.jpg?at=1e9,0,0,0,0,0,0,0"])
def test_what_is_not_there_is_not_found(client, path):
    assert client.get(path).status_code == 404


def test_only_reading(client):
    for path in ("/", "/results", "/photo/1", "/photo/1/small.jpg"):
        assert {client.open(path, method=method).status_code for method in ("POST", "PUT", "DELETE", "PATCH")} == {405}


def test_pages_ask_for_nothing_from_elsewhere_and_hold_no_script_or_style(client):
    for path in ("/", "/?q=budget", "/photo/1?q=sprint", "/nothing"):
        text = client.get(path).get_data(as_text=True)
        assert re.findall(r'(?:src|href|action)="([^"]*)"', text)
        assert all(re.match(r"[/#]", address) for address in re.findall(r'(?:src|href|action)="([^"]*)"', text))
        assert not re.search(r"<style|\sstyle=|<script(?! src=)|\son\w+=", text)


# --- Pictures ---------------------------------------------------------------------------------------------------

def test_photos_are_shown_upright_and_small(client):
    pixels = pixels_of(client.get("/photo/1/small.jpg"))
    assert pixels.shape == (450, 800, 3)
    assert near(pixels[275, 525], RED) and near(pixels[275, 575], BLUE) and near(pixels[10, 10], WHITE)
    assert pixels_of(client.get("/photo/1/large.jpg")).shape == (900, 1600, 3)


def test_what_is_see_through_is_shown_white(client):
    assert near(pixels_of(client.get("/photo/2/small.jpg"))[100, 150], WHITE)


def test_a_piece_is_cut_upright(client):
    straight = pixels_of(client.get("/photo/1/piece.jpg?at=1000,500,1200,500,1200,600,1000,600"))
    over = pixels_of(client.get("/photo/1/piece.jpg?at=1200,600,1000,600,1000,500,1200,500"))
    assert straight.shape == over.shape == (96, 192, 3)
    assert near(straight[48, 40], RED) and near(straight[48, 150], BLUE)
    assert near(over[48, 40], BLUE) and near(over[48, 150], RED)


def test_a_piece_on_a_page_has_a_margin(client):
    address, = re.findall(r'src="(/photo/1/piece.jpg[^"]*)"', client.get("/results?q=sprint").get_data(as_text=True))
    assert "at=970,470,1230,470,1230,630,970,630&" in address
    pixels = pixels_of(client.get(address.replace("&amp;", "&")))
    assert near(pixels[3, 80], WHITE) and near(pixels[48, 50], RED)


def test_margins_follow_a_turned_word():
    down = np.array([[100., 0], [100, 200], [50, 200], [50, 0]])  # text that runs down the photo
    assert np.allclose(pictures.widened(down, 0.2), [[110, -10], [110, 210], [40, 210], [40, -10]])


def test_pictures_may_be_kept_and_change_with_the_photo(client, found):
    address, = re.findall(r'<image href="(/photo/1/small.jpg[^"]*)"', client.get("/results?q=sprint").get_data(as_text=True))
    first = client.get(address)
    assert "immutable" in first.headers["Cache-Control"] and "private" in first.headers["Cache-Control"]
    again = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert again.status_code == 304 and not again.data
    Image.new("RGB", (1600, 900), BLUE).save(found.photos[1].path)
    changed = client.get(address, headers={"If-None-Match": first.headers["ETag"]})
    assert near(pixels_of(changed)[10, 10], BLUE) and changed.headers["ETag"] != first.headers["ETag"]
    assert "immutable" not in changed.headers["Cache-Control"] and "no-cache" in changed.headers["Cache-Control"]


def test_a_photo_that_cannot_be_read_is_no_picture(client, found):
    with open(found.photos[1].path, "wb") as file:
        file.write(b"no picture")
    assert client.get("/photo/1/small.jpg").status_code == 404


def test_many_who_ask_at_once_decode_a_photo_once(found, monkeypatch):
    calls, read = [], pictures.read_image
    monkeypatch.setattr(pictures, "read_image", lambda path: (time.sleep(0.1), calls.append(path), read(path))[2])
    shown = pictures.Pictures()
    asking = [threading.Thread(target=make, args=(found.photos[1].path,)) for make in (shown.small, shown.large) * 4]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join()
    assert len(calls) == 1


def test_what_is_kept_is_bounded(tmp_path, monkeypatch):
    kept = []
    monkeypatch.setattr(pictures, "LRUCache", lambda *args, **named: kept.append(Kept(*args, **named)) or kept[-1])
    shown = pictures.Pictures(pixels=100_000, jpegs=8_000)
    for i in range(12):
        Image.new("RGB", (100, 100), (i, i, i)).save(tmp_path / f"{i}.png")
        shown.small(str(tmp_path / f"{i}.png"))
        shown.piece(str(tmp_path / f"{i}.png"), ((0, 0), (50, 0), (50, 20), (0, 20)))
    assert all(0 < cache.currsize <= cache.maxsize and cache.lost for cache in kept) and len(kept) == 3


class Kept(pictures.LRUCache):
    lost = 0

    def popitem(self):
        self.lost += 1
        return super().popitem()


# --- Who is answered --------------------------------------------------------------------------------------------

@pytest.mark.parametrize("path", ["/", "/?q=budget", "/results?q=a", "/photo/1", "/photo/1/small.jpg", "/static/page.css", "/nothing"])
def test_every_answer_is_guarded(client, path):
    headers = client.get(path).headers
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy.pop("default-src") == "'none'" and policy.pop("base-uri") == policy.pop("frame-ancestors") == "'none'"
    assert set(policy.values()) == {"'self'"}
    assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    assert headers["Cross-Origin-Resource-Policy"] == "same-origin" and "Set-Cookie" not in headers


@pytest.mark.parametrize("host, status", [
    ("localhost", 200), ("LOCALHOST:8000", 200), ("127.0.0.1:8000", 200), ("[::1]:8000", 200), ("192.168.1.7:8000", 200),
    ("localhost.", 200), ("evil.example", 421), ("localhost.evil.example", 421), ("evil.example:8000", 421), ("127.0.0.1.evil.example", 421),
    ("", 421), ("localhost:8000:8000", 421), ("localhost/", 421), ("localhost evil", 421), ("user@localhost", 421), ("[::1", 421)])
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


@pytest.mark.parametrize("after", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "", "/\t/evil.example"])
def test_signing_in_leads_nowhere_else(locked, after):
    answer = locked.test_client().post("/login", data={"password": PASSWORD, "next": after})
    assert answer.status_code == 302 and answer.location == "/"


def test_guesses_are_limited_by_address(locked):
    client = locked.test_client()
    assert [sign_in(client, f"guess {i}").status_code for i in range(12)] == [401] * 10 + [429] * 2
    refused = sign_in(client, PASSWORD)
    assert refused.status_code == 429 and refused.headers["Retry-After"] == "600"
    assert sign_in(client, PASSWORD, environ_base={"REMOTE_ADDR": "192.168.1.9"}).status_code == 302


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
    with pytest.raises(UserError, match="write one"):
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
    server = web.create_server(web.create_app(found), "127.0.0.1", 0, patience=2)
    threading.Thread(target=server.run, daemon=True).start()
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


@pytest.mark.parametrize("path", [b"/static/../web.py", b"/static/..\\web.py", b"/../../../../etc/passwd", b"/static/%2e%2e%2fweb.py",
                                  b"//etc/passwd", b"/photo/1/%2e%2e/%2e%2e/%2e%2e/etc/passwd", b"file:///etc/passwd"])
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


def test_a_port_in_use_is_one_line(found, port):
    with pytest.raises(UserError, match=f"port {port} of 127.0.0.1.*--port"):
        web.create_server(web.create_app(found), "127.0.0.1", port)


# --- In a browser -----------------------------------------------------------------------------------------------

@pytest.fixture
def browser():
    """Debian's chromium without a window; skips where it is not installed."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="the browser test needs selenium: pip install selenium")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not chromium or not driver:
        pytest.skip("the browser test needs chromium and chromedriver: apt-get install chromium chromium-driver")
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for option in ("--headless=new", "--no-sandbox", "--disable-gpu", "--window-size=1200,900"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    chrome = webdriver.Chrome(options, webdriver.ChromeService(driver))
    chrome.implicitly_wait(20)
    yield chrome
    errors = chrome.get_log("browser")
    chrome.quit()
    assert not errors  # of scripts, of pictures that did not come, of what the policy forbids


def until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.05)


def place_of(browser, selector):
    return browser.execute_script("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", selector)


def test_searching_opening_and_going_back_in_a_browser(browser, port):
    def one(selector):
        return browser.find_element("css selector", selector)

    def focus():
        return browser.switch_to.active_element

    def press(*keys):
        browser.switch_to.active_element.send_keys(*keys)

    home = f"http://127.0.0.1:{port}/"
    browser.get(home)
    assert focus().get_attribute("id") == "q"
    press("sprint budget")  # results come as one types, and the address says what is asked
    until(lambda: browser.current_url == f"{home}?q=sprint+budget")
    assert one("#status").text == "3 photos" and one("#status").get_attribute("role") == "status"
    loaded = "return [...document.querySelectorAll('.piece img')].every(image => image.complete && image.naturalWidth > 0)"
    until(lambda: browser.execute_script(loaded))

    press("\ue015")  # down, to the first photo
    assert focus().get_attribute("id") == "photo-1"
    press("\ue014")  # right
    assert focus().get_attribute("id") == "photo-2"
    press("\ue012", "\ue007")  # left, Enter
    until(lambda: "/photo/1?" in browser.current_url)
    assert "sprint" in one("#transcript").text and one(".looking nav span").text == "1 of 3"

    whole = place_of(browser, "#match-1")  # a photo of 1,600 x 900: the match lies where the word was drawn
    sheet = browser.execute_script("const m = document.querySelector('#sheet').getScreenCTM(); return [m.a, m.e, m.f]")
    assert abs(whole["x"] + 1 - (sheet[0] * 1000 + sheet[1])) < 3 and abs(whole["y"] + 1 - (sheet[0] * 500 + sheet[2])) < 3
    one("[data-show='match-1']").click()
    stage = place_of(browser, "#stage")
    until(lambda: place_of(browser, "#match-1")["width"] > 1.4 * whole["width"])
    until(lambda: abs(place_of(browser, "#match-1")["x"] + place_of(browser, "#match-1")["width"] / 2 - stage["x"]
                      - stage["width"] / 2) < 3)  # in the middle of the stage
    one("body").send_keys("0")
    until(lambda: abs(place_of(browser, "#match-1")["width"] - whole["width"]) < 1)

    one("#copy").click()
    until(lambda: one("#copy").text == "Copied")
    assert browser.execute_script("return getSelection().toString()").split() == "sprint budget tea </script><b> next".split()

    one("body").send_keys("\ue014")  # right: the next photo
    until(lambda: "/photo/2?" in browser.current_url)
    one("body").send_keys("\ue00c")  # Escape: back to what was found
    until(lambda: browser.current_url == f"{home}?q=sprint+budget#photo-2")
    assert len(browser.find_elements("css selector", ".card")) == 3 and one("#q").get_attribute("value") == "sprint budget"
    browser.back()
    until(lambda: "/photo/2?" in browser.current_url)
    browser.forward()
    one("body").send_keys("/")
    assert focus().get_attribute("id") == "q"


def test_the_page_fits_a_phone_and_works_without_its_script(browser, port):
    size = {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(f"http://127.0.0.1:{port}/")
    browser.find_element("id", "q").send_keys("budget")
    browser.find_element("css selector", ".box button").click()
    until(lambda: len(browser.find_elements("css selector", ".card")) == 3)
    for step in (".card", "#after"):
        browser.find_element("css selector", step).click()
        browser.find_element("id", "transcript")
        layout = browser.execute_cdp_cmd("Page.getLayoutMetrics", {})
        assert layout["cssContentSize"]["width"] <= 390  # nothing sticks out
    assert "/photo/2?q=budget" in browser.current_url
