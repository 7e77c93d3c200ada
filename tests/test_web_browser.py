"""The search page in a real browser, chromium without a window."""
import shutil
import time

import pytest
from photo_index import start, three_photos

from index import web


@pytest.fixture
def port(tmp_path):
    server = start(web.create_app(three_photos(tmp_path)))
    yield server.effective_port
    server.close()


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
    selected = browser.execute_script("return getSelection().toString()")
    lines = [line.split() for line in selected.splitlines() if line]
    assert lines == [["sprint", "budget"], ["tea", "</script><b>"], ["next"]]

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


def test_fingers_zoom_and_leaf_through(browser, port):
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": 390, "height": 844, "deviceScaleFactor": 2, "mobile": True})
    browser.execute_cdp_cmd("Emulation.setTouchEmulationEnabled", {"enabled": True, "maxTouchPoints": 2})

    def touch(*ways):
        """Fingers that go from the first to the second point of their way, in ten steps."""
        for k in range(11):
            places = [{"x": x + (to_x - x) * k / 10, "y": y + (to_y - y) * k / 10, "id": i}
                      for i, ((x, y), (to_x, to_y)) in enumerate(ways)]
            browser.execute_cdp_cmd("Input.dispatchTouchEvent",
                                    {"type": "touchMove" if k else "touchStart", "touchPoints": places})
        browser.execute_cdp_cmd("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})

    browser.get(f"http://127.0.0.1:{port}/photo/1?q=budget")
    browser.find_element("id", "transcript")
    before = place_of(browser, "#sheet")
    touch(((180, 300), (80, 300)), ((220, 300), (320, 300)))  # 40 pixels apart, then 240
    zoomed = place_of(browser, "#sheet")
    assert abs(zoomed["width"] / before["width"] - 6) < 0.1
    touch(((200, 300), (150, 280)))
    moved = place_of(browser, "#sheet")
    assert abs(moved["x"] - zoomed["x"] + 50) < 2 and abs(moved["y"] - zoomed["y"] + 20) < 2
    browser.find_element("id", "whole").click()
    until(lambda: abs(place_of(browser, "#sheet")["width"] - before["width"]) < 1)
    touch(((200, 500), (200, 400)))
    assert abs(browser.execute_script("return scrollY") - 100) < 2 and "/photo/1?" in browser.current_url
    touch(((300, 300), (150, 300)))
    until(lambda: "/photo/2?" in browser.current_url)
