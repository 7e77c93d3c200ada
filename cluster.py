"""Work that a Ray cluster does: the processors of other machines, or of this one.

    >>> cluster.check("head:6379")  # "local": one that is started here, and ends with this process
    >>> for result in cluster.results("head:6379", make, items): ...

docs/deploy.md says what each machine needs. Imported only where --ray is given, as Ray takes seconds to load.
"""
import collections
import contextlib
import functools
import hashlib
import os
import pickle
import secrets
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from command import UserError

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing leaves the machines
if os.path.exists(os.path.expanduser("~/.ray/auth_token")):  # then `ray start` has had the cluster ask for it
    os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what went wrong is said below, in one line
try:
    import ray
    from ray import cloudpickle
except ImportError:
    raise UserError("--ray needs Ray: pip install -r requirements-cluster.txt") from None

ROOT = Path(__file__).parent
MEMORY = 100 << 20  # bytes of the object store of a cluster that is started here
TRIES = 2  # processes that may end at an item before it is given up
PROGRAM = "command.py", "words/*.py", "photos/*.py", "index/*.py"  # of which all machines need the same
MODELS = ".json", ".h5", ".onnx"  # files of a model's folder that change what is read
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"  # of HTTP/2, which Ray answers by a frame of kind 4
PATIENCE = 5  # seconds to wait for an address to answer
LOOK, LOST = 2, 30  # seconds until a run looks again whether Ray is there, and for which that may be out of reach
NEEDS = "each machine needs this checkout at the same path, with all that is installed here (docs/deploy.md)"


def check(address: str):
    """UserError if there cannot be a cluster at `address`: "local", or HOST:PORT as `ray start --head` says it."""
    if address == "local":
        return
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"--ray {address}: name a cluster as HOST:PORT, as `ray start --head` says it, or local")
    try:
        _ask(address)
    except OSError as error:
        raise UserError(f"--ray {address}: no cluster answers there ({error.strerror or error}); `ray start --head` starts "
                        "one, --ray local takes this machine alone") from None


def _ask(address):
    """OSError if no process of Ray answers at HOST:PORT."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host.strip("[]"), int(port)), PATIENCE) as connection:
        connection.sendall(HELLO)
        if connection.recv(9)[3:4] != b"\4":
            raise OSError("something else does")


@contextlib.contextmanager
def joined(address: str, processors: int | None = None):
    """A context in which `results` are those of the cluster at `address`; processors: of one that is started here, at most.
    UserError if it cannot be joined."""
    with contextlib.ExitStack() as stack:
        options = {}
        if address == "local":
            folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="ray", dir="/tmp", ignore_cleanup_errors=True))
            options = {"num_cpus": processors, "object_store_memory": MEMORY, "include_dashboard": False,
                       "_temp_dir": folder}  # a short path: that of a socket is 107 bytes at most
            os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))  # without it, nobody may use the cluster's ports
            os.environ.setdefault("RAY_worker_niceness", "0")
        stack.callback(ray.shutdown)
        answer = signal.getsignal(signal.SIGTERM)
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))  # what Ray says of processes that ended
        try:
            with _silent():
                ray.init(address=address, log_to_driver=False, logging_level="CRITICAL", **options)
        except (ray.exceptions.RayError, RuntimeError, ConnectionError, TimeoutError, ValueError) as error:
            raise UserError(f"--ray {address}: {_last_line(error)}; run this on a machine of the cluster, with its token "
                            "and its versions of Python and Ray (docs/deploy.md)") from None
        signal.signal(signal.SIGTERM, answer)  # Ray's own ends this process without a line
        yield


@contextlib.contextmanager
def _silent():
    """A context in which nothing gets to stderr, by Ray's own threads either."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def results(address: str, make: Callable[[], Callable], items: list, processors: int | None = None,
            same: Iterable[str | os.PathLike] = (), wanted: Callable[[object], bool] = lambda item: True) -> Iterator:
    """work(item) of each of `items`, where work = make(), in the order in which they are done by the cluster at `address`;
    processors: as of `joined`; same: files and folders of models, of which each machine must have the same as this one;
    wanted: says of an item, when its turn comes, whether it is still to be done.

    Each process calls `make` once. One that ends in the middle is replaced, and its item done again: what an item brings
    about must bear that. Of an item at which TRIES processes ended the result is work.lost(item, reason). All of this is
    pickled, as Ray does. UserError where they raise, and where a machine has another version of this program.
    """
    if items:
        with joined(address, processors):
            count = int(ray.cluster_resources().get("CPU", 0))
            if not count:
                raise UserError("--ray: no machine of the cluster has a processor to work with")
            cloudpickle.register_pickle_by_value(sys.modules[__name__])  # what finds the checkout does not come from there
            yield from _Crew(make, items, wanted, _digests(same)).work(min(count, len(items)))


class _Crew:
    """Processes of a cluster. Each has the item that it is at and the next one, so that it never waits for this process."""

    def __init__(self, make, items, wanted, digests):
        self._items, self._wanted = items, wanted
        self._waiting = collections.deque(range(len(items)))
        self._start = functools.partial(ray.remote(num_cpus=1)(_Worker).remote, str(ROOT), os.getcwd(), digests,
                                        ray.put(cloudpickle.dumps(make)))
        self._begun = []  # processes that can be given items
        self._tasks = {}  # reference: (process, number of the item; None: it begins); of a process as it does them
        self._ends = collections.Counter()  # number of an item: processes that ended at it
        self._daemons = _daemons()  # Ray ends this process, without a word, a while after one of them
        self._seen = time.monotonic()  # when all of them answered

    def work(self, count):
        """What `results` yields, by `count` processes."""
        for _ in range(count):
            self._begin()
        while self._waiting or any(number is not None for _, number in self._tasks.values()):
            ready, _ = ray.wait(list(self._tasks), timeout=LOOK)
            if time.monotonic() > self._seen + LOOK:
                self._look(LOST)
            if not ready:
                continue
            process, _ = self._tasks[ready[0]]
            reference, number = self._of(process)[0]
            try:
                result = ray.get(reference)
            except ray.exceptions.RayError as error:
                self._ended(process, number, error, count)
                number = None
            else:
                del self._tasks[reference]
                if number is None:
                    self._has_begun(process, result)
            self._hand_out()
            if number is not None:
                yield result

    def _look(self, patience):
        """UserError if one of Ray's daemons has ended, or has not answered for `patience` seconds."""
        try:
            for address in self._daemons:
                _ask(address)
            self._seen = time.monotonic()
        except OSError as error:
            if isinstance(error, ConnectionRefusedError) or time.monotonic() > self._seen + patience:
                raise UserError(f"--ray: Ray's own process at {address} ended or is out of reach; what was read is kept, "
                                "the same command goes on (that of pages.py with --resume)") from None

    def _of(self, process):
        """[(reference, number)] of what a process is to do, in that order."""
        return [(reference, number) for reference, (other, number) in self._tasks.items() if other is process]

    def _begin(self):
        process = self._start()
        self._tasks[process.begin.remote()] = process, None

    def _has_begun(self, process, fault):
        if fault:
            raise UserError(f"--ray: {fault}")
        self._begun.append(process)
        self._ends[None] = 0

    def _ended(self, process, number, error, count):
        """Replace a process that ended at an item. UserError if that would not help."""
        if isinstance(error, ray.exceptions.RayTaskError) or getattr(error, "actor_init_failed", False):
            raise UserError(f"--ray: {_last_line(error)}; {NEEDS}")
        self._look(0)
        self._ends[number] += 1
        if number is None and self._ends[None] >= TRIES * count:
            raise UserError(f"--ray: {self._ends[None]} processes ended as they began, maybe for want of memory")
        ray.kill(process)  # it may only be out of reach
        self._begun = [other for other in self._begun if other is not process]
        for reference, number in reversed(self._of(process)):
            del self._tasks[reference]
            if number is not None:
                self._waiting.appendleft(number)
        self._begin()

    def _hand_out(self):
        """Give each process an item to do, and the next, unless there are so few left that others would be without."""
        held = collections.Counter(process for process, _ in self._tasks.values())
        for process in self._begun:
            while self._waiting and held[process] < (2 if len(self._waiting) > len(self._begun) else 1):
                number = self._waiting.popleft()
                if self._wanted(self._items[number]):
                    self._tasks[process.do.remote(self._items[number], self._ends[number] >= TRIES)] = process, number
                    held[process] += 1


class _Worker:
    """A process of the cluster, at work for a _Crew. root: of the checkout; folder: in which the run was started; digests:
    as of `_digests`; make: as of `results`, pickled, since it is looked for in the checkout."""

    def __init__(self, root, folder, digests, make):
        self._others = [path for path, digest in digests.items() if _digest(path) != digest]
        if not self._others:
            sys.path.insert(0, root)
            with contextlib.suppress(OSError):  # else what is named from there on is missed, and said
                os.chdir(folder)
            self._work = pickle.loads(make)()

    def begin(self):
        """Why this process is of no use, one line; None where it has begun."""
        if self._others:
            return f"{socket.gethostname()} has another {self._others[0]} than this machine; {NEEDS}"

    def do(self, item, lost):
        """What comes of an item."""
        if lost:
            return self._work.lost(item, f"{TRIES} processes ended as they read it, maybe for want of memory")
        return self._work(item)


def _daemons():
    """[HOST:PORT] of the cluster's server and of the daemon by which this process belongs to it."""
    context = ray.get_runtime_context()
    own, = (node for node in ray.nodes() if node["NodeID"] == context.get_node_id())
    return [context.gcs_address, f"{own['NodeManagerAddress']}:{own['NodeManagerPort']}"]


def _digests(same):
    """{path: its digest} of what reads in this checkout, and of the files `same`."""
    files = [file for pattern in PROGRAM for file in ROOT.glob(pattern)]
    for path in map(Path, same):
        files += [file for file in path.iterdir() if file.suffix in MODELS] if path.is_dir() else [path] * path.is_file()
    return {os.path.abspath(file): _digest(file) for file in files}


def _digest(path):
    with contextlib.suppress(OSError), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _last_line(error):
    return str(error).strip().splitlines()[-1].strip().rstrip(".").removeprefix("command.UserError: ")
