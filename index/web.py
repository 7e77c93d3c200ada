"""The search page: a box to type into, photos that hold the words, and one photo large with all that was read on it.

    python search.py serve                                                # http://127.0.0.1:8000, for this machine alone
    python search.py serve --host 0.0.0.0 --password-file password.txt    # for others, who need the password

It only reads: the index, and the photos that the index names by number. It asks nothing of any other machine, and needs no
script to search. index/guard.py says whom it answers, index/pictures.py makes the pictures.
"""
import dataclasses
import datetime
import functools
import itertools
import logging
import math
import operator
import os
import re
import secrets
import socket
import sys
import urllib.parse
from pathlib import Path

import flask
import waitress
from flask import current_app, request, session
from waitress.channel import HTTPChannel
from werkzeug.exceptions import HTTPException

import index
from command import UserError
from index import guard
from index.pictures import Pictures, version, widened
from photos.page import title

LIMIT, MOST, LONGEST = 20, 200, 500  # photos shown at first, at most, characters of a query
LOOPBACK = "localhost", "127.0.0.1", "::1"
THREADS = max(2, os.cpu_count() or 1)  # that answer: more than there are cores wait for each other
pages = flask.Blueprint("pages", __name__)


# --- The application --------------------------------------------------------------------------------------------

def create_app(found, password: str | None = None, allowed_hosts: tuple[str, ...] = LOOPBACK) -> flask.Flask:
    """The Flask application for an open index.

    allowed_hosts: the names, in lower case, by which browsers may call it, beside any IP address. With a password, only the
    page that asks for it is to be had without.
    """
    app = flask.Flask(__name__)
    app.config.update(
        INDEX=found, PICTURES=Pictures(), PASSWORD=password, ALLOWED_HOSTS=tuple(allowed_hosts), ATTEMPTS=guard.Attempts(),
        SECRET_KEY=secrets.token_bytes(32),  # so a restart signs everybody out, as a new password should
        SESSION_COOKIE_NAME="search", SESSION_COOKIE_SAMESITE="Lax", PERMANENT_SESSION_LIFETIME=datetime.timedelta(days=30),
        SESSION_REFRESH_EACH_REQUEST=False, MAX_CONTENT_LENGTH=4096, SEND_FILE_MAX_AGE_DEFAULT=31536000)
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.globals.update(asset=asset)
    app.jinja_env.filters.update(shown=shown, name=os.path.basename, points=points, cut_out=cut_out)
    app.url_map.merge_slashes = False  # nothing is found by another name than its own
    app.register_blueprint(pages)
    app.before_request(check)
    app.after_request(protect)
    app.register_error_handler(HTTPException, explain)
    app.register_error_handler(UserError, excuse)
    return app


def check():
    """Refuse a request that does not name us, comes from another site, or lacks the password."""
    if not guard.right_host(request.headers.get("Host", ""), current_app.config["ALLOWED_HOSTS"]):
        return "`search.py serve --name NAME` lets this server answer to NAME.\n", 421, {"Content-Type": "text/plain"}
    if guard.from_another_site(request.headers):
        return "Not for other sites.\n", 403, {"Content-Type": "text/plain"}
    if current_app.config["PASSWORD"] and not session.get("known") and request.endpoint not in ("static", "pages.login"):
        if request.endpoint in ("pages.home", "pages.photo"):
            return flask.redirect(flask.url_for("pages.login", next=request.full_path.rstrip("?")))
        flask.abort(401)


def protect(response):
    response.headers.update(guard.HEADERS)
    response.headers.setdefault("Cache-Control", "private, no-cache")
    return response


def explain(error):
    """An error as a page of one sentence."""
    why = {401: "Sign in first.", 404: "There is nothing here.", 413: "That is too much.",
           500: "Something broke; the terminal where the server runs says what."}.get(error.code, error.description)
    return flask.render_template("error.html", title=error.name, why=why), error.code


class Unclear(UserError):
    """Something asked that cannot be answered; any other UserError is the index's, which cannot be read now."""


def excuse(error):
    """A UserError as a page of one sentence."""
    why, status = reason_of(error)
    return flask.render_template("error.html", title="Sorry", why=why), status


def reason_of(error):
    """(what those who asked are told of a UserError, the status); whoever runs the server reads the rest in its terminal."""
    if isinstance(error, Unclear):
        return str(error), 400
    print(error, file=sys.stderr, flush=True)
    return "The index cannot be read right now. Try again in a minute.", 503


@functools.cache
def asset(name: str) -> str:
    """The address of a file in static/, with its version."""
    return flask.url_for("static", filename=name, v=version(str(Path(current_app.static_folder, name))))


def shown(name: object) -> str:
    """A photo's name as text: bytes that are no UTF-8 as the replacement character."""
    return os.fsencode(title(str(name))).decode("utf8", "replace")


# --- Signing in -------------------------------------------------------------------------------------------------

@pages.route("/login", methods=["GET", "POST"])
def login():
    after = request.values.get("next", "")
    after = after if re.fullmatch(r"/(?![/\\])[^\s\\]*", after) else flask.url_for("pages.home")  # a page of ours
    if not current_app.config["PASSWORD"]:
        return flask.redirect(after)
    if request.method == "GET":
        return flask.render_template("login.html", after=after)
    attempts, address = current_app.config["ATTEMPTS"], request.remote_addr or "0.0.0.0"
    if not attempts.allow(address):
        wait = "Too many wrong passwords. Wait ten minutes and try again."
        return flask.render_template("login.html", after=after, why=wait), 429, {"Retry-After": str(round(attempts.period))}
    if not guard.same_password(request.form.get("password", ""), current_app.config["PASSWORD"]):
        return flask.render_template("login.html", after=after, why="That is not the password."), 401
    attempts.forget(address)
    session.permanent = session["known"] = True
    return flask.redirect(after)


@pages.post("/logout")
def logout():
    session.clear()
    return flask.redirect(flask.url_for("pages.login"))


# --- Searching --------------------------------------------------------------------------------------------------

@dataclasses.dataclass(frozen=True)
class Question:
    """What a search asks, as in the address of its page."""
    text: str = ""
    every: bool = False  # every word must match
    since: str = ""  # dates, as 2026-11-25
    until: str = ""
    limit: int = LIMIT

    @classmethod
    def asked(cls):
        """The question in the request's address. Unclear for one that is too long or a date that is none."""
        given = request.args
        text = " ".join(given.get("q", "").split())
        if len(text) > LONGEST:
            raise Unclear(f"Ask with at most {LONGEST} characters; these are {len(text):,}.")
        try:
            days = [given.get(name, "") and str(datetime.date.fromisoformat(given[name])) for name in ("since", "until")]
        except ValueError:
            raise Unclear("Give dates as year-month-day, such as 2026-11-25.") from None
        return cls(text, bool(given.get("all")), *days, min(max(given.get("limit", LIMIT, type=int), 1), MOST))

    @property
    def address(self):
        """The end of an address that asks it, from its question mark on; "" where nothing is asked."""
        parts = {"q": self.text, "all": "1" if self.every else "", "since": self.since, "until": self.until,
                 "limit": self.limit if self.limit != LIMIT else ""}
        given = {key: value for key, value in parts.items() if value}
        return f"?{urllib.parse.urlencode(given)}" if given else ""

    def answered(self):
        """The index's results, the best first, one more than are shown."""
        if not self.text:
            return []
        return current_app.config["INDEX"].find(self.text, limit=self.limit + 1, all_words=self.every,
                                                since=self.since or None, until=self.until or None)


@pages.get("/")
def home():
    return found("search.html")


@pages.get("/results")
def results():
    """The part of the page below the box, which the script fetches as one types."""
    return found("results.html")


def found(template):
    """A page of the photos that answer the question in the request's address, or of why there are none."""
    try:
        question = Question.asked()
        results = question.answered()
        photos = current_app.config["INDEX"].photos([result.photo for result in results])
        # Another run may just have taken note that a file is gone
        cards = [card(result, photos[result.photo]) for result in results[:question.limit] if result.photo in photos]
        stats = None if cards else current_app.config["INDEX"].stats()  # to say why
    except UserError as error:
        question, (why, status) = Question(request.args.get("q", "")[:LONGEST]), reason_of(error)
        return flask.render_template(template, question=question, summary="Not searched.", why=why), status
    if not cards:
        return flask.render_template(template, question=question, summary="No photos" if question.text else "", stats=stats)
    more = len(results) > question.limit
    likely = [each for each in cards if each["score"] >= index.DOUBTFUL]
    further = dataclasses.replace(question, limit=min(question.limit + 2 * LIMIT, MOST))
    return flask.render_template(template, question=question, summary=summary(len(likely), len(cards) - len(likely), more),
                                 likely=likely, doubtful=cards[len(likely):],
                                 further=further if more and question.limit < MOST else None)


def summary(likely, doubtful, more):
    """How many photos were found, in words. more: than are shown."""
    photos = f"{likely} photo{'' if likely == 1 else 's'}" if likely else "No photo for sure"
    if doubtful:
        return f"{photos}, {doubtful} less likely"
    return f"The best {photos}" if more else photos


def card(result, photo):
    """What a photo's card shows: the part of it around the best match, marked, and matches cut out."""
    return {"photo": photo, "score": result.score, "version": state_of(photo), "matches": result.matches,
            "window": window(photo.width, photo.height, result.matches), "pieces": different(result.matches)[:3]}


def different(matches):
    """The matches with one of each text first."""
    texts = [match.text.lower() for match in matches]
    return [match for _, match in sorted(enumerate(matches), key=lambda each: texts.index(texts[each[0]]) != each[0])]


def points(polygon):
    """A polygon as SVG writes it."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in polygon)


def cut_out(polygon):
    """A polygon with a margin as the address of a cut-out has it."""
    return ",".join(f"{x:.0f},{y:.0f}" for x, y in widened(polygon))


def window(width, height, matches):
    """The part of a photo, four wide, three high and as large as can be, that has the best match in or near its middle:
    x, y, width, height in whole pixels."""
    sides, size = (width, height), (min(width, height * 4 / 3), min(height, width * 3 / 4))
    middle = [sum(along) / 4 for along in zip(*matches[0].polygon)] if matches else [side / 2 for side in sides]
    first = [min(max(at - part / 2, 0), side - part) for at, part, side in zip(middle, size, sides)]
    return [round(number) for number in (*first, *size)]


def state_of(photo):
    """The version of a photo's file, "" if the file is gone."""
    try:
        return version(photo.file)
    except OSError:
        return ""


# --- One photo --------------------------------------------------------------------------------------------------

NUMBER = "<int(max=2147483647):number>"


def the_photo(number):
    photo = current_app.config["INDEX"].photo(number)
    return photo or flask.abort(404)


@pages.get(f"/photo/{NUMBER}")
def photo(number):
    """One photo large, its words as text, and the way to the other photos found."""
    question, found = Question.asked(), the_photo(number)
    order = question.answered()[:question.limit]
    place = next((i for i, result in enumerate(order) if result.photo == number), None)
    matches, ways = [], {}
    if place is not None:
        matches = order[place].matches
        ways = {"place": place + 1, "count": len(order), "before": order[place - 1].photo if place else None,
                "after": order[place + 1].photo if place + 1 < len(order) else None}
    words = current_app.config["INDEX"].page(number)
    return flask.render_template("photo.html", question=question, photo=found, version=state_of(found), matches=matches,
                                 paragraphs=paragraphs(words, {points(match.polygon) for match in matches}), **ways)


def paragraphs(words, matched):
    """Words in reading order as paragraphs of lines of dicts, as `placed` gives them."""
    words = [(word.paragraph, word.line, placed(i, word, matched)) for i, word in enumerate(words)]
    return [[[word for *_, word in line] for _, line in itertools.groupby(paragraph, operator.itemgetter(1))]
            for _, paragraph in itertools.groupby(words, operator.itemgetter(0))]


def placed(i, word, matched):
    """A word for the layer of text over a photo: where its line begins, how long, high and steep it is."""
    corners = points(word.polygon)
    (left, top), _, (right, end), (x, y) = word.polygon
    numbers = {"x": x, "y": y, "length": math.hypot(right - x, end - y), "height": math.hypot(x - left, y - top),
               "angle": math.degrees(math.atan2(end - y, right - x))}
    return {"i": i, "text": word.text, "points": corners, "tag": "mark" if corners in matched else "span",
            **{name: round(number, 1) for name, number in numbers.items()}}


@pages.get(f"/photo/{NUMBER}/<any(small,large):size>.jpg")
def picture(number, size):
    pictures = current_app.config["PICTURES"]
    return jpeg(the_photo(number).file, getattr(pictures, size), size)


@pages.get(f"/photo/{NUMBER}/piece.jpg")
def piece(number):
    """What is in the polygon `at`: eight whole numbers, x and y of its corners."""
    at = request.args.get("at", "")
    if not re.fullmatch(r"-?\d{1,6}(,-?\d{1,6}){7}", at, re.ASCII):
        flask.abort(404)
    numbers = [int(number) for number in at.split(",")]
    polygon = tuple(zip(numbers[::2], numbers[1::2], strict=True))
    return jpeg(the_photo(number).file, lambda path: current_app.config["PICTURES"].piece(path, polygon), at)


def jpeg(path, make, name):
    """A picture of the photo at `path`, for a browser to keep; 304, without making it, where it has it already."""
    try:
        state = version(path)
        response = flask.Response(mimetype="image/jpeg")
        response.set_etag(f"{state}-{name}")
        response.cache_control.private = True
        if request.args.get("v") == state:  # the address of this very version
            response.cache_control.max_age, response.cache_control.immutable = 31536000, True
        else:
            response.cache_control.no_cache = True
        if not request.if_none_match.contains(response.get_etag()[0]):
            response.data = make(path)
    except (OSError, ValueError):
        flask.abort(404)
    return response.make_conditional(request)


# --- Serving ----------------------------------------------------------------------------------------------------

def serve(index_path, host: str = "127.0.0.1", port: int = 8000, password_file=None, names: tuple[str, ...] = (),
          behind_proxy: bool = False) -> None:
    """Serve the page until Ctrl-C. `names`: what else browsers may call this machine, beside its own name and addresses.

    behind_proxy: all requests come through a proxy, encrypted until there, which says who asks (X-Forwarded-For).
    """
    password = guard.read_password(password_file) if password_file else None
    if not password and not guard.is_loopback(host):
        raise UserError(f"--host {host}: others could see the photos; --password-file FILE asks them for a password")
    own = socket.gethostname().lower()
    found = index.open(index_path, compiled=True)
    app = create_app(found, password, (*LOOPBACK, own, f"{own}.local", *(name.lower() for name in names)))
    app.config["SESSION_COOKIE_SECURE"] = behind_proxy
    server = create_server(app, host, port, behind_proxy=behind_proxy)
    for query in ("first", '"third first second"'):  # loads, and once compiles, what queries take, also those that scan
        found.find(query)
    address = "localhost" if host in ("", "0.0.0.0", "::") else f"[{host}]" if ":" in host else host
    print(f"http://{address}:{port}  (Ctrl-C stops it)", flush=True)
    server.run()


class Connection(HTTPChannel):
    """A waitress connection whose client cannot hold it by sending a request drop by drop: that counts as saying nothing."""
    begun = None  # when the first piece of a request came that is not there whole

    def handle_read(self):
        super().handle_read()
        self.begun = (self.begun or self.last_activity) if self.request else None
        if self.begun:
            self.last_activity = self.begun


def create_server(app, host: str, port: int, patience: int = 30, behind_proxy: bool = False):
    """waitress for an application. A connection without a whole request for `patience` seconds is closed, a long head
    refused. behind_proxy: see `serve`."""
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # that a request waits for its turn is no warning
    parts = {}
    try:
        server = waitress.create_server(
            app, parts, host=host, port=port, threads=THREADS, connection_limit=500, channel_timeout=patience,
            cleanup_interval=max(1, patience // 6), max_request_header_size=65536, max_request_body_size=65536,
            asyncore_use_poll=True, ident=None, clear_untrusted_proxy_headers=True,
            **(dict(trusted_proxy="*", trusted_proxy_headers="x-forwarded-for") if behind_proxy else {}))
    except OSError as error:
        raise UserError(f"port {port} of {host}: {error.strerror}; --port and --host name another") from None
    for part in parts.values():  # a name such as localhost may have several addresses, and a server for each
        part.channel_class = Connection
    return server
