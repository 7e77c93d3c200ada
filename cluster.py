"""Work that a Ray cluster does: the processors of other machines, or of this one.

    >>> cluster.check("head:6379")  # "local": one that is started here, and ends with this process
    >>> for result in cluster.results("head:6379", make, items): ...

docs/deploy.md says what each machine needs. Imported only where --ray is given, as Ray takes seconds to load.
"""
import collections
import contextlib
import logging
import os
import pickle
import secrets
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from command import UserError

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # nothing leaves the machines
os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")  # what went wrong is said below, in one line
try:
    import pyarrow
    import ray
    from ray import cloudpickle
    from ray.data import ActorPoolStrategy, DataContext
except ImportError:
    raise UserError("--ray needs Ray: pip install -r requirements-cluster.txt") from None

logging.getLogger("ray.data").setLevel(logging.CRITICAL)

ROOT = Path(__file__).parent
MEMORY = 100 << 20  # bytes of the object store of a cluster that is started here
TOGETHER = 8  # items of a block at most: what is done again when a process ends in the middle of it
TRIES = 2  # processes that may end at an item before it is given up
HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0"  # of HTTP/2, which Ray answers by a frame of kind 4
PATIENCE = 5  # seconds to wait for an address to answer
NEEDS = "each machine needs this checkout at the same path, with all that is installed here (docs/deploy.md)"


def check(address: str):
    """UserError if there cannot be a cluster at `address`: "local", or HOST:PORT as `ray start --head` says it."""
    if address == "local":
        return
    host, _, port = address.rpartition(":")
    if "/" in address or not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise UserError(f"--ray {address}: name a cluster as HOST:PORT, as `ray start --head` says it, or local")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), PATIENCE) as connection:
            connection.sendall(HELLO)
            if connection.recv(9)[3:4] != b"\4":
                raise OSError("something else does")
    except OSError as error:
        raise UserError(f"--ray {address}: no cluster answers there ({error.strerror or error}); `ray start --head` starts "
                        "one, --ray local takes this machine alone") from None


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
        stack.enter_context(contextlib.redirect_stdout(sys.stderr))  # what Ray says of processes that ended
        try:
            with _silent():
                ray.init(address=address, log_to_driver=False, logging_level="CRITICAL", **options)
        except (ray.exceptions.RayError, RuntimeError, ConnectionError, TimeoutError, ValueError) as error:
            raise UserError(f"--ray {address}: {_last_line(error)}; run this on a machine of the cluster, with its versions "
                            "of Python and Ray (docs/deploy.md)") from None
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


def results(address: str, make: Callable[[], Callable], items: list, processors: int | None = None) -> Iterator:
    """work(item) of each of `items`, where work = make(), in the order in which they are done by the cluster at `address`;
    processors: as of `joined`.

    Each process calls `make` once. One that ends in the middle is replaced, and its block done again: what an item brings
    about must bear that. Of an item at which TRIES processes ended the result is work.lost(item, reason). All of this is
    pickled, as Ray does. UserError where they raise.
    """
    if items:
        with joined(address, processors):
            yield from _results(make, items)


def _results(make, items):
    count = int(ray.cluster_resources().get("CPU", 0))
    if not count:
        raise UserError("--ray: no machine of the cluster has a processor to work with")
    context = DataContext.get_current()
    context.enable_progress_bars = context.print_on_execution_start = False
    size = max(1, min(TOGETHER, len(items) // (4 * count)))
    blocks = [pyarrow.table({"item": list(map(pickle.dumps, some)), "block": [k] * len(some)})
              for k in range(0, len(items), size) if (some := items[k:k + size])]
    cloudpickle.register_pickle_by_value(sys.modules[__name__])  # what finds the checkout does not come from there
    begun = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=-1)(_Begun).remote()
    data = ray.data.from_arrow(blocks).map_batches(
        _Worker, fn_constructor_args=(str(ROOT), os.getcwd(), cloudpickle.dumps(make), begun), batch_format="pyarrow",
        num_cpus=1, compute=ActorPoolStrategy(size=min(count, len(blocks)), max_tasks_in_flight_per_actor=2))
    try:
        for row in data.iter_rows():
            yield pickle.loads(row["result"])
    except ray.exceptions.RayError as error:
        raise UserError(f"--ray: {_last_line(error)}; {NEEDS}") from None


class _Worker:
    """A process of the cluster, at work for `results`. root: of the checkout; folder: in which the run was started; make:
    as there, pickled, since it is looked for in the checkout; begun: a _Begun."""

    def __init__(self, root, folder, make, begun):
        sys.path.insert(0, root)
        with contextlib.suppress(OSError):  # else what is named from there on is missed, and said
            os.chdir(folder)
        self._work, self._begun = pickle.loads(make)(), begun

    def __call__(self, table):
        number, items = table["block"][0].as_py(), map(pickle.loads, table["item"].to_pylist())
        lost = ray.get(self._begun.again.remote(number))
        return pyarrow.table({"result": [pickle.dumps(self._result(number, k, item, k in lost))
                                         for k, item in enumerate(items)]})

    def _result(self, number, k, item, lost):
        if lost:
            return self._work.lost(item, f"{TRIES} processes ended as they read it, maybe for want of memory")
        ray.get(self._begun.at.remote(number, k))
        return self._work(item)


class _Begun:
    """Which item of each block was begun last: when a block is begun again, a process ended there."""

    def __init__(self):
        self._last, self._ends = {}, collections.Counter()

    def again(self, block):
        """A block is begun: the places of its items at which too many processes ended."""
        if block in self._last:
            self._ends[block, self._last[block]] += 1
        return {k for (other, k), count in self._ends.items() if other == block and count >= TRIES}

    def at(self, block, k):
        self._last[block] = k


def _last_line(error):
    return str(error).strip().splitlines()[-1].strip().rstrip(".")
