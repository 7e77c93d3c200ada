"""Who may use the search page: the Host header, the password, how often one may guess it, and what other sites may fetch.

A page of the web can make a browser ask this machine for things (DNS rebinding gives the page's own name to our address; an
`<img>` needs no trick). So a request must name us as we are called, and nothing but a link may come from another site.
"""
import hashlib
import hmac
import ipaddress
import re
import socket
import threading
import time
from pathlib import Path

from cachetools import TTLCache

from command import UserError

LEAST_PASSWORD = 8  # characters


def is_loopback(host: str) -> bool:
    """Whether all addresses of `host` are reached from this machine alone. "" stands for every address: False."""
    try:
        found = socket.getaddrinfo(host, None) if host else []
    except OSError as error:
        raise UserError(f"--host {host}: {error.strerror}; name an address of this machine, such as 127.0.0.1") from None
    return bool(found) and all(ipaddress.ip_address(address[0].partition("%")[0]).is_loopback for *_, address in found)


def read_password(path: Path | str) -> str:
    """The password in a file: its first line, without the line's end. UserError where there is none or it is too short."""
    try:
        lines = Path(path).read_text(encoding="utf8").splitlines()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}; name a file with a password on its first line") from None
    except ValueError:
        raise UserError(f"{path}: not a text in UTF-8; write a password on its first line") from None
    password = lines[0] if lines else ""
    if len(password) < LEAST_PASSWORD:
        raise UserError(f"{path}: the password on its first line needs at least {LEAST_PASSWORD} characters")
    return password


def same_password(given: str, password: str) -> bool:
    """Whether two passwords are the same, in a time that does not depend on where they differ."""
    digests = [hashlib.sha256(text.encode("utf8", "surrogatepass")).digest() for text in (given, password)]
    return hmac.compare_digest(*digests)


class Attempts:
    """Guesses at the password: an address has `most` of them, and then `period` seconds to wait after the last.

    IPv6 networks of 64 bits count as one address, as one person has them all. At most 10,000 addresses are remembered.
    """

    def __init__(self, most: int = 10, period: float = 600, clock=time.monotonic):
        self.most, self.period = most, period
        self._guesses = TTLCache(10_000, period, clock)
        self._lock = threading.Lock()

    def allow(self, address: str) -> bool:
        """Whether this address may guess once more; if so, that is counted."""
        network = _network(address)
        with self._lock:
            guesses = self._guesses.get(network, 0)
            if guesses < self.most:
                self._guesses[network] = guesses + 1
            return guesses < self.most

    def forget(self, address: str) -> None:
        """Forget the guesses of an address: the last one was right."""
        with self._lock:
            self._guesses.pop(_network(address), None)


def _network(address):
    address = ipaddress.ip_address(address.partition("%")[0])
    return ipaddress.ip_network((address, 64), strict=False) if address.version == 6 else address


def right_host(header: str, names: tuple[str, ...]) -> bool:
    """Whether a Host header names this server: one of `names` in lower case, or any IP address; a port may follow.

    An address is always right: whoever rebinds a name to our address has a name in the header, not an address.
    """
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[0-9a-zA-Z._-]+)(:[0-9]{1,5})?", header)
    if not found:
        return False
    name = found[1].lower().removesuffix(".").strip("[]")
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return name in names
    return True


def from_another_site(headers) -> bool:
    """Whether a browser says that another site asks, other than by a link that the person follows (Fetch Metadata)."""
    return (headers.get("Sec-Fetch-Site", "none") not in ("same-origin", "none")
            and headers.get("Sec-Fetch-Mode") != "navigate")


HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
                               "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
