"""The fetcher asks public addresses alone, whatever they look like, and only for so long and so much. 4 seconds."""

import datetime
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from hibari.errors import BadMedia, InvalidRequest
from hibari.fetch import check_public, check_url, fetch, may_reach, post

HERE = "127.0.0.1"


class Handler(BaseHTTPRequestHandler):
    """What the tests ask for, by path."""

    def do_GET(self) -> None:
        name, _, rest = self.path.lstrip("/").partition("/")
        if name == "to":  # redirects: the number of further ones, or an address
            target = f"/to/{int(rest) - 1}" if rest.isdigit() and int(rest) else rest if rest != "0" else "/data"
            self._answer(302, Location=target)
        elif name == "nowhere":
            self._answer(301)
        elif name == "status":
            self._answer(int(rest))
        elif name == "packed":
            self._answer(200, b"x", **{"Content-Encoding": "gzip"})
        elif name == "slow":
            self._trickle()
        elif name == "headers":
            self._answer(200, str(self.headers).encode())
        else:
            self._answer(200, b"x" * (int(rest) if rest else 10))

    def do_POST(self) -> None:
        self._answer(int(self.path.lstrip("/")), self.rfile.read(int(self.headers["Content-Length"])), Location="/200")
        self.server.bodies.append(self.headers["X-Told"])  # type: ignore[attr-defined]

    def _answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def _trickle(self) -> None:
        """A byte of a header now and then, so that no single read takes long."""
        try:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            for _ in range(100):
                self.wfile.write(b"x")
                time.sleep(0.05)
        except OSError:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Nothing is printed in the midst of pytest's own lines."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        super().__init__((HERE, 0), Handler)
        self.bodies: list[str] = []
        if context is not None:
            self.socket = context.wrap_socket(self.socket, server_side=True, do_handshake_on_connect=False)
        self.at = f"{HERE}:{self.server_address[1]}"

    def handle_error(self, *_: object) -> None:
        """Clients that hang up are what is tested."""


@pytest.fixture
def server() -> Iterator[Server]:
    yield from running(Server())


def running(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def get(url: str, max_bytes: int = 1000, seconds: float = 5.0) -> bytes:
    return fetch(url, max_bytes=max_bytes, seconds=seconds, allow_private=True)


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8", "93.184.216.34", "2606:4700:4700::1111",
        "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::1",
    ],
)  # fmt: skip
def test_public_addresses(address: str) -> None:
    assert may_reach(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "169.254.169.254", "0.0.0.0",
        "0.1.2.3", "224.0.0.1", "224.0.1.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1",
        "192.88.99.1", "192.0.0.8",
        "::", "::1", "fe80::1", "fe80::1%eth0", "fec0::1", "fc00::1", "fd00:ec2::254", "ff02::1", "2001:db8::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1", "::10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::a00:1", "2002:7f00:1::1", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "100::1",
        "4000::1",
    ],
)  # fmt: skip
def test_addresses_that_are_not(address: str) -> None:
    assert not may_reach(address)


def test_what_a_private_network_allows() -> None:
    for address in ("127.0.0.1", "10.1.2.3", "192.168.1.1", "::1", "fd12::1", "::ffff:10.0.0.1", "8.8.8.8"):
        assert may_reach(address, allow_private=True), address
    for address in ("169.254.169.254", "fe80::1", "224.0.0.1", "0.0.0.0", "240.0.0.1", "64:ff9b::a9fe:a9fe"):
        assert not may_reach(address, allow_private=True), address


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd", "ftp://example.org/x", "gopher://example.org", "data:text/plain,x", "//example.org", "x",
        "", "http://", "http:///x", "http://ann@example.org", "http://ann:pw@example.org", "http://example.org:99999",
        "http://example.org:0", "http://exa mple.org", "http://[::1", "http://example.org\r\nX: y",
    ],
)  # fmt: skip
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        check_url(url)
    assert caught.value.option == "url" and "pw" not in str(caught.value)


def test_what_says_itself_that_it_is_private_is_known_before_it_is_asked() -> None:
    for host in (
        HERE,
        "localhost",
        "a.LOCALHOST.",
        "127.1",
        "2130706433",
        "192.168.1.5",
        "10.0.0.1.",
        "[::1]",
        "[fd00::1]",
    ):
        with pytest.raises(InvalidRequest, match="not public"):
            check_public(f"https://{host}:9999/hook")
    for host in ("example.org", "localhost.example.org", "1.1.1.1", "[2606:4700::1111]", "10.example.org"):
        assert check_public(f"https://{host}/hook").host


@pytest.mark.parametrize(
    "host", [HERE, "localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "[::ffff:127.0.0.1]", "①②⑦.0.0.1"]
)
def test_this_machine_is_not_asked_under_any_name(server: Server, host: str) -> None:
    url = f"http://{host}:{server.server_address[1]}/data"
    for ask in (lambda: fetch(url, max_bytes=100, seconds=5), lambda: post(url, b"", {}, seconds=5)):
        with pytest.raises((InvalidRequest, BadMedia)) as caught:
            ask()
        assert isinstance(caught.value, InvalidRequest) or "cannot be found" in str(caught.value)


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> "Names":
    """Names that the machine's resolver does not know; addresses are left to it."""
    known, real = Names(), socket.getaddrinfo

    def resolve(host: str, port: int, *rest: int, **more: int) -> list[tuple[object, ...]]:
        if host not in known.answers:
            return list(real(host, port, *rest, **more))
        known.asked.append(host)
        answers = known.answers[host]
        now = answers.pop(0) if len(answers) > 1 else answers[0]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in now]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return known


class Names:
    """What each name answers, the first time, the second, ...; and which were asked."""

    def __init__(self) -> None:
        self.answers: dict[str, list[list[str]]] = {}
        self.asked: list[str] = []


def test_all_addresses_of_a_name_count(names: Names, server: Server) -> None:
    names.answers["mixed.example"] = [["93.184.216.34", "10.0.0.1"]]
    with pytest.raises(InvalidRequest, match="not public"):
        fetch(f"http://mixed.example:{server.server_address[1]}/", max_bytes=100, seconds=5)


def test_a_name_is_resolved_once(names: Names, server: Server) -> None:
    names.answers["pinned.example"] = [[HERE], ["169.254.169.254"]]
    assert get(f"http://pinned.example:{server.server_address[1]}/data") == b"x" * 10
    assert names.asked == ["pinned.example"], "the connection asks for no name of its own"
    with pytest.raises(InvalidRequest, match="not public"):  # and a later request is checked anew
        get(f"http://pinned.example:{server.server_address[1]}/data")


def test_redirects_are_followed_and_checked(server: Server) -> None:
    assert get(f"http://{server.at}/to/2") == b"x" * 10
    with pytest.raises(BadMedia, match="too often"):
        get(f"http://{server.at}/to/3")
    with pytest.raises(BadMedia, match="nowhere"):
        get(f"http://{server.at}/nowhere")
    for target in ("http://169.254.169.254/latest/meta-data", "file:///etc/passwd", "ftp://example.org"):
        with pytest.raises(InvalidRequest):
            get(f"http://{server.at}/to/{target}")


def test_limits_of_size_and_time(server: Server) -> None:
    assert len(get(f"http://{server.at}/data/1000")) == 1000
    with pytest.raises(BadMedia, match="larger"):
        get(f"http://{server.at}/data/1001")
    started = time.monotonic()
    with pytest.raises(BadMedia, match="too long"):
        get(f"http://{server.at}/slow", seconds=0.5)
    assert time.monotonic() - started < 3


def test_answers_that_are_no_file(server: Server) -> None:
    for path, words in (("status/404", "status 404"), ("status/204", "status 204"), ("packed", "compressed")):
        with pytest.raises(BadMedia, match=words):
            get(f"http://{server.at}/{path}")
    with socket.socket() as closed:
        closed.bind((HERE, 0))
        nobody = f"http://{HERE}:{closed.getsockname()[1]}/"
    with pytest.raises(BadMedia, match="does not answer"):
        get(nobody)
    with pytest.raises(BadMedia, match="cannot be found"):
        fetch("http://no-such-name.invalid/", max_bytes=10, seconds=20)


def test_no_proxy_and_nothing_of_ours_is_told(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    told = get(f"http://{server.at}/headers").decode().split("\n")
    assert sorted(line.split(":")[0] for line in told if line) == ["Accept-Encoding", "Host", "User-Agent"]


def test_posting_gives_the_status_and_follows_nothing(server: Server) -> None:
    for status in (200, 302, 500):
        url = f"http://{server.at}/{status}"
        assert post(url, b"{}", {"X-Told": "yes"}, seconds=5, allow_private=True) == status
    deadline = time.monotonic() + 5
    while len(server.bodies) < 3 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert server.bodies == ["yes"] * 3


def test_a_certificate_is_for_the_name_and_not_the_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: Names
) -> None:
    certificate = self_signed(tmp_path, "pinned.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    names.answers |= {"pinned.example": [[HERE]], "other.example": [[HERE]]}
    for server in running(Server(context)):
        port = server.server_address[1]
        assert get(f"https://pinned.example:{port}/data") == b"x" * 10
        with pytest.raises(BadMedia, match="does not answer"):
            get(f"https://other.example:{port}/data")


def self_signed(folder: Path, name: str) -> Path:
    """A certificate for a name, and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = folder / "server.pem"
    path.write_bytes(pem + certificate.public_bytes(serialization.Encoding.PEM))
    return path
