"""The one guarded fetcher: addresses that strangers name are asked from here, and from nowhere else.

A name is resolved once, every address that it has is checked, and the connection goes to a checked address, so that a
name which answers differently the second time gains nothing. Proxies of the environment are not used: a proxy would
resolve the name itself. What is fetched is bytes; whether they are a picture is for `media/` to say.
"""

import ipaddress
import queue
import re
import socket
import ssl
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import httpcore
import httpx

from hibari.errors import BadMedia, InvalidRequest

MOST_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
AGENT = "Hibari"
_GLOBAL_V6 = ipaddress.ip_network("2000::/3")  # all of IPv6 that is given out to the public
_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052; the local 64:ff9b:1::/48 leads anywhere and is refused
_PROTOCOLS = ipaddress.ip_network("192.0.0.0/24")  # RFC 6890; the standard library knows parts of it
_RELAYS = ipaddress.ip_network("192.88.99.0/24")  # 6to4 relays, RFC 7526
_HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_MOST_PORT = 65535
_NOT_PUBLIC = "It leads to an address that is not public."
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def fetch(url: str, *, max_bytes: int, seconds: float, allow_private: bool = False) -> bytes:
    """What lies at an address, redirects followed; `seconds` bounds all of it, names and redirects included.

    `allow_private` lets it reach the machine itself and private networks. Raises InvalidRequest for an address that
    may not be asked, and BadMedia where it does not answer with status 200 and at most `max_bytes`.
    """
    guard = _Guard(time.monotonic() + seconds, allow_private=allow_private)
    for _ in range(MOST_REDIRECTS + 1):
        target = check_url(url)
        with _answer(guard, "GET", target, {}) as response:
            if response.status not in REDIRECTS:
                return _body(response, max_bytes)
            url = _redirect(target, response)
    raise BadMedia("The address redirects too often.", hint=f"At most {MOST_REDIRECTS} redirects are followed.")


def post(url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, allow_private: bool = False) -> int:
    """Send a body and give the answer's status, which may be any; redirects are not followed, the answer is not read.

    Raises InvalidRequest for an address that may not be asked, and BadMedia where no answer comes in time.
    """
    guard = _Guard(time.monotonic() + seconds, allow_private=allow_private)
    with _answer(guard, "POST", check_url(url), headers, body) as response:
        return int(response.status)


def check_url(url: str) -> httpx.URL:
    """The address in parts; raises InvalidRequest for one that is not http or https, or names a user.

    Nothing is resolved: whether the name leads somewhere public is asked when it is used.
    """
    try:
        parts = httpx.URL(url)
        host = parts.raw_host.decode("ascii")
    except (httpx.InvalidURL, ValueError, TypeError) as error:
        raise _wrong("It cannot be read as an address.") from error
    if parts.scheme not in ("http", "https"):
        raise _wrong("It starts with neither http:// nor https://.")
    if not _HOST.fullmatch(host):
        raise _wrong("It names no host.")
    if parts.port is not None and not 0 < parts.port <= _MOST_PORT:
        raise _wrong(f"Its port is not between 1 and {_MOST_PORT}.")
    if parts.userinfo:
        raise _wrong("It holds a user name or a password.")
    return parts


def check_public(url: str) -> httpx.URL:
    """The address in parts; raises InvalidRequest where it names, as it stands, this machine or a private address.

    Nothing is resolved, as with `check_url`: it is for telling somebody early what would be refused later.
    """
    parts = check_url(url)
    host = parts.raw_host.decode("ascii").lower().rstrip(".")
    address = _literal(host)
    if host == "localhost" or host.endswith(".localhost") or (address is not None and not may_reach(address)):
        raise _wrong(_NOT_PUBLIC)
    return parts


def _literal(host: str) -> str | None:
    """The IP address that a host is, also in the short forms that resolvers take ("127.1"); None for a name."""
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return socket.inet_ntoa(socket.inet_aton(host))
    except OSError:
        return None


def may_reach(address: str, *, allow_private: bool = False) -> bool:
    """Whether an IP address is one that may be connected to.

    Only what the whole internet can reach, also behind the notations that put an IPv4 address into an IPv6 one. With
    `allow_private` loopback and private networks too, but never link-local addresses (where clouds keep their secrets),
    multicast, or what is reserved.
    """
    ip = _unwrapped(ipaddress.ip_address(address.partition("%")[0]))
    if ip is None or ip.is_multicast or ip.is_link_local or ip.is_unspecified:
        return False
    if allow_private and (ip.is_loopback or (ip.is_private and not ip.is_reserved)):
        return True
    if isinstance(ip, ipaddress.IPv6Address):
        return ip in _GLOBAL_V6 and ip.is_global
    return ip.is_global and not ip.is_reserved and ip not in _RELAYS and ip not in _PROTOCOLS


def _unwrapped(ip: _Address) -> _Address | None:
    """The address that is meant: the IPv4 one inside an IPv6 one, where there is one. None: it may lead anywhere."""
    if isinstance(ip, ipaddress.IPv4Address):
        return ip
    if ip.ipv4_mapped is not None:
        return ip.ipv4_mapped
    if ip.sixtofour is not None:
        return ip.sixtofour
    if ip.teredo is not None:
        return None
    if ip in _NAT64:
        return ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip


class _Guard(httpcore.SyncBackend):
    """Opens connections to checked addresses only, and ends all of them at one moment (of the monotonic clock)."""

    def __init__(self, deadline: float, *, allow_private: bool) -> None:
        self.deadline = deadline
        self.allow_private = allow_private

    def left(self) -> float:
        """Seconds that are left; raises BadMedia where none are."""
        seconds = self.deadline - time.monotonic()
        if seconds <= 0:
            raise _late()
        return seconds

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  # ours is the one that counts
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        addresses = self.resolve(host, port)
        failure: Exception | None = None
        for address in addresses:
            try:
                stream = super().connect_tcp(address, port, self.left(), local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
            else:
                return _Timed(stream, self)
        assert failure is not None, "a name that resolves has an address"
        raise failure

    def resolve(self, host: str, port: int) -> list[str]:
        """The addresses of a name, all of them checked; raises InvalidRequest where one may not be reached."""
        found: queue.SimpleQueue[list[str] | OSError] = queue.SimpleQueue()
        # In a thread that may be left behind: the system's resolver knows no time limit of ours.
        threading.Thread(target=_look_up, args=(host, port, found), daemon=True).start()
        try:
            addresses = found.get(timeout=self.left())
        except queue.Empty as error:
            raise _late() from error
        if isinstance(addresses, OSError):
            raise BadMedia(f"{host} cannot be found.", hint="Is the name right?") from addresses
        if not all(may_reach(address, allow_private=self.allow_private) for address in addresses):
            raise _wrong(_NOT_PUBLIC)
        return addresses


class _Timed(httpcore.NetworkStream):
    """A connection that no trickle of bytes keeps open past the guard's deadline."""

    def __init__(self, stream: httpcore.NetworkStream, guard: _Guard) -> None:
        self._stream = stream
        self._guard = guard

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        return self._stream.read(max_bytes, self._guard.left())

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        self._stream.write(buffer, self._guard.left())

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> httpcore.NetworkStream:
        return _Timed(self._stream.start_tls(ssl_context, server_hostname, self._guard.left()), self._guard)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


def _look_up(host: str, port: int, found: "queue.SimpleQueue[list[str] | OSError]") -> None:
    try:
        answers = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        found.put(error)
    except UnicodeError as error:  # a label that is empty or too long
        found.put(OSError(str(error)))
    else:
        found.put([str(answer[4][0]) for answer in answers])


@contextmanager
def _answer(
    guard: _Guard, method: str, url: httpx.URL, headers: Mapping[str, str], body: bytes | None = None
) -> Iterator[httpcore.Response]:
    """The answer of an address, its body not yet read; raises InvalidRequest and BadMedia."""
    told = {"Host": url.netloc.decode("ascii"), "User-Agent": AGENT, "Accept-Encoding": "identity", **headers}
    if body is not None:
        told["Content-Length"] = str(len(body))
    target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
    try:
        context = httpx.create_ssl_context() if url.scheme == "https" else None
        with (
            httpcore.ConnectionPool(ssl_context=context, network_backend=guard) as pool,
            pool.stream(method, target, headers=list(told.items()), content=body) as response,
        ):
            yield response
    except httpcore.TimeoutException as error:
        raise _late() from error
    except (httpcore.NetworkError, httpcore.ProtocolError) as error:
        raise BadMedia(f"{url.host} does not answer ({error}).", hint="Is the address right?") from error


def _body(response: httpcore.Response, max_bytes: int) -> bytes:
    """The body of a good answer; raises BadMedia for a bad one and for one that is too large."""
    if response.status != 200:
        raise BadMedia(f"The address answers with status {response.status}.", hint="Can anyone open it?")
    if _header(response, b"content-encoding") not in (b"", b"identity"):
        raise BadMedia("The address answers in a compressed form that was not asked for.")
    data = bytearray()
    for part in response.iter_stream():
        data += part
        if len(data) > max_bytes:
            raise BadMedia(f"What lies there is larger than {max_bytes >> 20} MiB.", hint="Give a smaller file.")
    return bytes(data)


def _redirect(url: httpx.URL, response: httpcore.Response) -> str:
    """Where an answer sends us; raises BadMedia where it does not say."""
    place = _header(response, b"location")
    if not place:
        raise BadMedia("The address redirects nowhere.")
    try:
        return str(url.join(place.decode("ascii")))
    except (httpx.InvalidURL, UnicodeDecodeError) as error:
        raise BadMedia("The address redirects to what is no address.") from error


def _header(response: httpcore.Response, name: bytes) -> bytes:
    return next((value for key, value in response.headers if key.lower() == name), b"")


def _late() -> BadMedia:
    return BadMedia("The address takes too long to answer.", hint="Try again, or upload the file.")


def _wrong(why: str) -> InvalidRequest:
    # Neither the address nor what it resolves to is repeated: the one may hold a secret, the other maps a network.
    return InvalidRequest(f"This address is not asked. {why}", option="url", hint="Give a public http(s) address.")
