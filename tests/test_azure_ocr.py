"""azure_ocr.py against a local server that answers as Azure's service documents.

What needs Microsoft's client library is skipped without it: pip install azure-ai-vision-imageanalysis
"""
import http.server
import io
import json
import logging
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import numpy as np
import pytest
from azure_photos import BOX, photo, run
from PIL import Image
from samples import NO_IMAGE

import azure_ocr
from command import UserError
from photos import boxes
from photos.page import Page, Word
from words.image_files import IMAGE_FORMATS, read_image

ROOT = Path(__file__).parent.parent
KEY = "0123456789abcdefSECRET"
CUT = "cut the connection"


# --- The service ----------------------------------------------------------------------------------------------

def answer(words, size=(100, 100)):
    """JSON as documented, of lines of (text, confidence, [(x, y)] * 4) words."""
    def polygon(points):
        return [{"x": int(x), "y": int(y)} for x, y in points]

    lines = [{"text": " ".join(text for text, *_ in line), "boundingPolygon": polygon(line[0][2]),
              "words": [{"text": text, "confidence": confidence, "boundingPolygon": polygon(points)}
                        for text, confidence, points in line]} for line in words]
    return {"modelVersion": "2023-10-01", "metadata": {"width": size[0], "height": size[1]},
            "readResult": {"blocks": [{"lines": lines}] if lines else []}}


def see(content):
    """As the real service, in small: the box of what is dark on the image that was sent, one word, or no text."""
    with Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as image:
        pixels = np.asarray(image.convert("L"))
    y, x = np.nonzero(pixels < 100)
    if not len(x):
        return answer([], pixels.shape[::-1])
    left, right, top, bottom = x.min(), x.max() + 1, y.min(), y.max() + 1
    return answer([[("Word", 0.75, [(left, top), (right, top), (right, bottom), (left, bottom)])]], pixels.shape[::-1])


def error(message="no", code="Bad"):
    return {"error": {"code": code, "message": message}}


class Server(http.server.ThreadingHTTPServer):
    """Gives the replies (status, headers, content) in turn, and then what it sees; remembers what it was asked."""
    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.replies, self.asked, self.over = [], [], threading.Event()
        self.endpoint = f"http://127.0.0.1:{self.server_port}"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.asked.append((self.path, dict(self.headers), content))
        reply = self.server.replies.pop(0) if self.server.replies else None
        if callable(reply):
            reply = reply()
        if reply is CUT:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{")
            return
        status, headers, body = reply or (200, {}, see(content))
        body = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": "application/json", "Content-Length": len(body), **headers}.items():
            self.send_header(name, str(value))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(monkeypatch):
    pytest.importorskip("azure.ai.vision.imageanalysis", reason="pip install azure-ai-vision-imageanalysis")
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("VISION_KEY", KEY)
        monkeypatch.setenv("VISION_ENDPOINT", server.endpoint + "/")
        yield server
        server.over.set()
        server.shutdown()


@pytest.fixture
def slept(monkeypatch):
    """The seconds that were waited for, without waiting."""
    seconds = []
    monkeypatch.setattr(azure_ocr.time, "sleep", seconds.append)
    return seconds


# --- Photos ---------------------------------------------------------------------------------------------------

@pytest.fixture
def photos(tmp_path, monkeypatch):
    """a.png, b.png and c.png in photos/, in the current folder."""
    monkeypatch.chdir(tmp_path)
    for name in "abc":
        photo(tmp_path / "photos" / f"{name}.png")
    return tmp_path / "photos"


def found():
    return {page.file: page for page in boxes.read("boxes.json")} if Path("boxes.json").exists() else {}


# --- Answers --------------------------------------------------------------------------------------------------

def test_photos_are_sent_as_documented_and_kept_as_the_format_says(server, photos, capsys):
    photo(photos / "sub" / "blank.png", box=None)
    two = answer([[("Žluť", 0.9, BOX), ("two", 0.5, BOX)], [("three", 1, BOX)]])
    server.replies = [(200, {}, two)]
    run("--yes")
    shown = capsys.readouterr().out.splitlines()
    assert shown[0].startswith("4 photos, 0 in boxes.json already; to send now: 4 photos, 4 calls")
    assert shown[1] == "boxes.json: 4 more photos with 5 words"
    path, headers, content = server.asked[0]
    assert path.startswith("/computervision/imageanalysis:analyze?") and "features=read" in path and "api-version=" in path
    assert headers["Ocp-Apim-Subscription-Key"] == KEY and content == (photos / "a.png").read_bytes()
    entries = found()
    assert list(entries) == ["a.png", "b.png", "c.png", "sub/blank.png"]
    assert entries["a.png"].words == [Word(BOX, "Žluť", 0.9, line=0), Word(BOX, "two", 0.5, line=0),
                                      Word(BOX, "three", 1.0, line=1)]
    assert entries["b.png"] == Page("b.png", 200, 120, [Word(BOX, "Word", 0.75, line=0)])
    assert entries["sub/blank.png"] == Page("sub/blank.png", 200, 120)
    assert "upright" in json.loads(Path("boxes.json").read_text(encoding="utf8"))["coordinates"]


def test_a_second_run_sends_only_what_is_missing(server, photos, monkeypatch, capsys):
    run("--yes", "--max_images", "2")
    assert list(found()) == ["a.png", "b.png"]
    run("--yes")
    assert list(found()) == ["a.png", "b.png", "c.png"] and len(server.asked) == 3
    monkeypatch.delenv("VISION_KEY")
    capsys.readouterr()
    run()
    assert capsys.readouterr().out == "3 photos, 3 in boxes.json already; to send now: 0 photos, 0 calls\n"
    assert len(server.asked) == 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_boxes_are_in_the_upright_photo(server, photos, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    photo(photos / "a.png", exif=exif)
    run("--yes", "--max_images", "1")
    entry = found()["a.png"]
    upright = read_image(photos / "a.png")
    y, x = np.nonzero(upright[..., 0] < 100)
    assert (entry.width, entry.height) == upright.shape[1::-1] == ((120, 200) if orientation > 4 else (200, 120))
    # JPEG may blur an edge by a pixel
    np.testing.assert_allclose(entry.words[0].polygon[::2], [[x.min(), y.min()], [x.max() + 1, y.max() + 1]], atol=1)
    with Image.open(io.BytesIO(server.asked[0][2]), formats=IMAGE_FORMATS) as sent:
        assert sent.getexif().get(0x0112, 1) == 1


def test_what_is_over_the_limits_is_scaled_down_and_boxes_back(server, photos, monkeypatch):
    box = [[8000, 10], [16000, 10], [16000, 50], [8000, 50]]
    photo(photos / "a.png", size=(17000, 60), box=box)
    run("--yes", "--max_images", "1")
    with Image.open(io.BytesIO(server.asked[0][2]), formats=IMAGE_FORMATS) as sent:
        assert sent.size == (16000, 56) and sent.format == "JPEG"
    entry = found()["a.png"]
    assert (entry.width, entry.height) == (17000, 60)
    np.testing.assert_allclose(entry.words[0].polygon, box, atol=2)
    monkeypatch.setattr(azure_ocr, "MAX_BYTES", 2000)  # a file that is too large in bytes
    rng = np.random.default_rng(0)
    pixels = np.repeat(np.repeat(rng.integers(200, 256, (100, 100), np.uint8), 4, 0), 4, 1)
    pixels[100:200, 80:240] = 0
    Image.fromarray(pixels).save(photos / "b.png")
    run("--yes", "--max_images", "1")
    assert len(server.asked[1][2]) < 2000
    np.testing.assert_allclose(found()["b.png"].words[0].polygon[::2], [[80, 100], [240, 200]], atol=8)


def test_what_cannot_be_sent_is_kept_with_its_reason_and_costs_no_call(server, photos, capsys):
    photo(photos / "a.png", size=(200, 49), box=None)
    (photos / "b.png").write_text("no picture")
    run("--yes")
    entries = found()
    assert entries["a.png"].error == "200 x 49 pixels are too few: the service reads 50 x 50 and more"
    assert entries["b.png"].error == NO_IMAGE
    assert entries["c.png"].words and len(server.asked) == 1
    assert "2 failed, --retry sends them again" in capsys.readouterr().out
    run("--yes")
    assert len(server.asked) == 1
    photo(photos / "b.png")
    run("--yes", "--retry")
    assert len(server.asked) == 2 and found()["b.png"].words and found()["a.png"].error


def test_no_photo_read_at_all_is_an_error(server, photos):
    for name in "abc":
        (photos / f"{name}.png").write_text("no picture")
    for options in ([], ["--crops", "words"]):  # the second run has nothing to send
        with pytest.raises(UserError, match="no photo could be read; boxes.json says why, --retry sends them again"):
            run("--yes", *options)
    assert [entry.error for entry in found().values()] == [NO_IMAGE] * 3 and sorted(os.listdir()) == ["boxes.json", "photos"]
    photo(photos / "b.png")
    run("--yes", "--retry")
    assert len(server.asked) == 1 and found()["b.png"].words


def test_of_an_animation_the_first_image_is_sent(server, photos):
    shown, other = (Image.new("RGB", (200, 120), colour) for colour in ("white", "red"))
    shown.save(photos / "0.webp", save_all=True, append_images=[other])
    run("--yes", "--max_images", "1")
    with Image.open(io.BytesIO(server.asked[0][2]), formats=IMAGE_FORMATS) as sent:
        assert sent.format == "JPEG" and np.asarray(sent).min() > 240


def test_pages_of_a_tiff_are_sent_each(server, photos):
    shown, other = (Image.new("RGB", (200, 120), colour) for colour in ("white", "red"))
    shown.save(photos / "0.tif", save_all=True, append_images=[other])
    run("--yes", "--max_images", "2", "--draw", "drawn")
    for (*_, content), colour in zip(server.asked, [(255, 255, 255), (254, 0, 0)], strict=True):
        with Image.open(io.BytesIO(content), formats=IMAGE_FORMATS) as sent:
            assert sent.format == "JPEG" and np.abs(np.asarray(sent, int) - colour).max() < 4
    assert list(found()) == ["0.tif#1", "0.tif#2"] and sorted(os.listdir("drawn")) == [
        "0.tif#1.jpg", "0.tif#2.jpg"]


def test_half_a_surrogate_pair_is_replaced(server, photos):
    server.replies = [(200, {}, answer([[("a\ud83d", 0.5, BOX)]]))]
    run("--yes", "--max_images", "1")
    assert found()["a.png"].words[0].text == "a?"


@pytest.mark.parametrize("suffix, options", [("gif", {}), ("tif", {}), ("png", {"format": "GIF"})])
def test_other_formats_are_sent_as_jpeg(server, photos, suffix, options):
    photo(photos / f"0.{suffix}", size=(200, 120), **options)
    run("--yes", "--max_images", "1")
    with Image.open(io.BytesIO(server.asked[0][2]), formats=IMAGE_FORMATS) as sent:
        assert sent.format == "JPEG"
    assert len(found()[f"0.{suffix}"].words) == 1


# --- Trouble --------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("status, headers, message", [
    (401, {}, "the service refuses the key .401.; check --subscription_key or VISION_KEY"),
    (403, {}, "the service refuses the call .403: Out of quota for .*; check"),
    (404, {}, "no Image Analysis 4.0 there .404."),
    (302, {"Location": "http://127.0.0.1:9/elsewhere"}, "no Image Analysis 4.0 there .302."),
])
def test_what_no_photo_can_pass_stops_at_once(server, photos, slept, status, headers, message):
    server.replies = [None, (status, headers, error(f"Out of quota for {KEY}"))]
    with pytest.raises(UserError, match=message) as caught:
        run("--yes")
    assert KEY not in str(caught.value) and "\n" not in str(caught.value)
    assert len(server.asked) == 2 and list(found()) == ["a.png"] and found()["a.png"].words


@pytest.mark.parametrize("status", [429, 503])
def test_the_service_is_waited_for_as_it_says(server, photos, slept, status):
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    server.replies = [(status, {"Retry-After": 7}, error()), (status, {"Retry-After": date}, error()),
                      (status, {"Retry-After": "soon"}, error())]
    run("--yes", "--max_images", "1")
    long = [seconds for seconds in slept if seconds > 1]
    assert len(server.asked) == 4 and len(long) == 3
    assert long[0] == 7 and 25 < long[1] <= 30 and long[2] == 8  # the third time by itself
    assert found()["a.png"].words


def test_failures_of_the_service_are_tried_again_after_longer_and_longer(server, photos, slept):
    server.replies = [(500, {}, error()), (502, {}, b"<html>"), (500, {}, error())]
    run("--yes", "--max_images", "1")
    assert [seconds for seconds in slept if seconds > 1] == [2, 4, 8] and found()["a.png"].words


@pytest.mark.parametrize("reply, reason, calls", [
    ((500, {}, error(f"broken {KEY}")), "the service answers 500: broken ***", 3),
    ((400, {}, error("The image is odd.")), "the service answers 400: The image is odd.", 1),
    ((200, {}, b'{"readResult": '), "the service's answer makes no sense", 3),
    ((200, {}, b""), "the service's answer makes no sense", 3),
    ((200, {}, []), "the service's answer makes no sense", 3),
    ((200, {}, {"readResult": {"blocks": [{"lines": [{"words": [{"text": "a"}]}]}]}}), "the service's answer makes no sense",
     3),
    ((200, {}, answer([[("a", 0.5, BOX[:3])]])), "the service's answer makes no sense", 3),
])
def test_a_photo_that_failed_is_kept_with_its_reason_and_the_next_is_sent(server, photos, slept, reply, reason, calls):
    server.replies = [reply] * calls
    run("--yes", "--attempts", "3")
    assert found()["a.png"].error == reason and found()["a.png"].words == []
    assert found()["b.png"].words and found()["c.png"].words and len(server.asked) == calls + 2
    run("--yes", "--retry")
    assert len(server.asked) == calls + 3 and not found()["a.png"].error and found()["a.png"].words


@pytest.mark.parametrize("reply, message", [
    ((429, {"Retry-After": 3}, error()), "too many calls .429.; lower --per_minute, or run the same command later"),
    (CUT, "the connection was cut; what is done is kept: run the same command again"),
])
def test_after_so_many_attempts_it_stops_and_nothing_is_lost(server, photos, slept, reply, message):
    server.replies = [None, *[reply] * 3]
    with pytest.raises(UserError, match=message):
        run("--yes", "--attempts", "3")
    assert len(server.asked) == 4 and list(found()) == ["a.png"]
    run("--yes")
    assert len(found()) == 3 and len(server.asked) == 6


def test_a_connection_that_is_cut_once_is_made_again(server, photos, slept):
    server.replies = [CUT]
    run("--yes")
    assert len(server.asked) == 4 and all(entry.words for entry in found().values())


def test_a_very_long_wait_is_left_to_the_user(server, photos, slept):
    server.replies = [(429, {"Retry-After": 86400}, error())]
    with pytest.raises(UserError, match="asks to wait 86400 s: run the same command again later"):
        run("--yes")
    assert max(slept) < 1


def test_a_slow_answer_is_not_waited_for_without_end(server, photos):
    server.replies = [lambda: server.over.wait(20) and None]
    started = time.monotonic()
    run("--yes", "--timeout", "0.3", "--attempts", "1")
    assert time.monotonic() - started < 10
    assert found()["a.png"].error == "no answer within 0.3 s" and found()["b.png"].words


@pytest.mark.parametrize("reply", [
    (307, {"Location": "/elsewhere"}, error()), (308, {"Location": "/elsewhere"}, error()), (405, {}, error()),
    (200, {"Content-Type": "text/html"}, b"<html>"),
], ids=["307", "308", "405", "a web page"])
def test_what_is_no_such_service_stops_at_once(server, photos, slept, reply):
    server.replies = [reply]
    with pytest.raises(UserError, match="no Image Analysis 4.0 there"):
        run("--yes")
    assert len(server.asked) == 1 and not found()


@pytest.mark.parametrize("endpoint", ["http://127.0.0.1:9", "https://no-such-place.invalid"])
def test_an_endpoint_that_cannot_be_reached_stops_at_once(server, photos, slept, endpoint):
    started = time.monotonic()
    with pytest.raises(UserError, match=f"--endpoint {endpoint}: cannot be reached") as caught:
        run("--yes", "--endpoint", endpoint)
    assert "\n" not in str(caught.value) and time.monotonic() - started < 20 and max(slept) < 1 and found() == {}


def test_repeated_calls_keep_the_rate_too(server, photos, slept):
    server.replies = [(status, {"Retry-After": 0}, error()) for status in (500, 408)]
    run("--yes", "--per_minute", "20", "--max_images", "1")
    assert len(server.asked) == 3 and len([seconds for seconds in slept if 2.5 < seconds <= 3]) == 2


def test_a_file_that_cannot_be_written_costs_no_call(server, photos, monkeypatch):
    monkeypatch.setattr(boxes.Journal, "__enter__", lambda _: os.listdir("/no such folder"))
    with pytest.raises(OSError):
        run("--yes")
    assert not server.asked


def test_calls_keep_the_rate(server, photos, slept):
    run("--yes", "--per_minute", "20")
    assert len(slept) == 3 and slept[0] == 0 and all(2.5 < seconds <= 3 for seconds in slept[1:])


def test_the_key_is_in_no_output_no_log_and_no_file(server, photos, slept, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    server.replies = [(500, {}, error(KEY)), (400, {}, error(f"key {KEY}")), (401, {}, error(KEY))]
    with pytest.raises(UserError) as caught:
        run("--yes", "-k", f" {KEY}\n")
    assert server.asked[0][1]["Ocp-Apim-Subscription-Key"] == KEY
    assert KEY not in str(caught.value) and KEY not in "".join(capfd.readouterr())
    assert not [record for record in caplog.records if KEY in record.getMessage()]
    assert all(KEY.encode() not in path.read_bytes() for path in Path(".").rglob("*") if path.is_file())


def test_a_run_that_was_killed_goes_on(server, photos):
    server.replies = [None, lambda: server.over.wait(60) and None]
    command = [sys.executable, str(ROOT / "azure_ocr.py"), "-p", "photos", "--yes", "--per_minute", "60000"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(server.asked) < 2 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    assert process.poll() is None
    process.kill()
    process.wait()
    assert found() == {} and len(server.asked) == 2  # what is done is beside it
    run("--yes")
    assert list(found()) == ["a.png", "b.png", "c.png"] and len(server.asked) == 4
    assert sorted(path.name for path in Path(".").iterdir()) == ["boxes.json", "photos"]


def test_it_asks_before_it_sends(server, photos, monkeypatch, capsys):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    for said in ("n\n", "\n", ""):
        monkeypatch.setattr(sys, "stdin", Terminal(said))
        with pytest.raises(UserError, match="nothing sent, as you said"):
            run()
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    with pytest.raises(UserError, match="nothing sent: nobody to ask; --yes sends without asking"):
        run()
    assert not server.asked and not Path("boxes.json").exists()
    monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
    capsys.readouterr()
    run()
    assert f"send 3 photos to {server.endpoint}? [y/N]" in capsys.readouterr().out and len(server.asked) == 3


@pytest.mark.parametrize("options, message", [
    (("--endpoint", "http://example.com"), "--endpoint must be like https://NAME"),
    (("--endpoint", "vision.example.com"), "must be like https://NAME"),
    (("--endpoint", KEY), "must be like https://NAME"),
    (("--endpoint", f"https://user:{KEY}@example.com"), "must be like https://NAME"),
    (("--endpoint", "https://exam ple.com"), "must be like https://NAME"),
    (("--endpoint", "https://example.com:port"), "must be like https://NAME"),
    (("--endpoint", "https://exa..mple.com"), "must be like https://NAME"),
    (("--endpoint", f"https://{'a' * 64}.com"), "must be like https://NAME"),
    (("-k", f"{KEY}\nX"), "a key with unusual characters cannot be right; copy it again"),
    (("-k", f"ключ{KEY}"), "a key with unusual characters cannot be right; copy it again"),
])
def test_keys_and_endpoints_that_cannot_be_right(server, photos, options, message):
    with pytest.raises(UserError, match=message) as caught:
        run("--yes", *options)
    assert KEY not in str(caught.value) and not server.asked


def test_without_key_or_endpoint(server, photos, monkeypatch):
    for name, message in (("VISION_ENDPOINT", "no endpoint: give --endpoint"), ("VISION_KEY", "no key: give -k")):
        monkeypatch.delenv(name)
        with pytest.raises(UserError, match=message):
            run("--yes", "-o", "new/boxes.json")
    assert os.listdir() == ["photos"]


def test_folders_that_cannot_be_written_to_are_told_before_anything_is_paid_for(server, photos):
    Path("file").touch()
    for option in ("--crops", "--draw"):
        with pytest.raises((UserError, OSError)):
            run("--yes", option, "file/drawn")
    assert not server.asked and sorted(os.listdir()) == ["file", "photos"]


# --- Without the service --------------------------------------------------------------------------------------

@pytest.mark.parametrize("options, message", [
    (("--key", KEY), "not understood: --key;"),
    ((f"--key={KEY}",), "not understood: --key;"),
    ((KEY,), "not understood: a word after no option;"),
    (("--per_minute", "0"), "--per_minute: 0: must be a number from 0.01"),
    (("--attempts", "0"), "--attempts: 0: must be a whole number from 1"),
    (("--min_confidence", "nan"), "--min_confidence: nan: must be a number from 0 to 1"),
])
def test_options_that_cannot_be(photos, options, message):
    with pytest.raises(UserError, match=message) as caught:
        run("--yes", *options)
    assert KEY not in str(caught.value)


def test_without_the_library_it_is_asked_for(photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "azure.ai.vision.imageanalysis", None)
    with pytest.raises(UserError, match="pip install azure-ai-vision-imageanalysis"):
        run("--yes", "-k", KEY, "--endpoint", "https://example.com")


def test_a_user_sees_one_line_and_status_2(photos):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VISION_")}
    done = subprocess.run([sys.executable, str(ROOT / "azure_ocr.py"), "-p", "photos", "--yes"], capture_output=True,
                          text=True, env=environment)
    assert done.returncode == 2 and done.stderr.startswith("azure_ocr.py: ") and done.stderr.count("\n") == 1
    assert done.stdout.count("\n") == 1 and not Path("boxes.json").exists()


def test_retry_after():
    assert azure_ocr.retry_after("12") == 12 and azure_ocr.retry_after("Wed, 21 Oct 2015 07:28:00 GMT") == 0
    assert azure_ocr.retry_after(None) is azure_ocr.retry_after("soon") is azure_ocr.retry_after("1.2.3") is None
