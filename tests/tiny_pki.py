"""Certificates of every good and bad kind, and a time-stamp authority on loopback, for the tests of credentials."""

import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from hibari.provenance.credentials.signing import PrivateKey

DAY = timedelta(days=1)
EMAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A key and its certificate."""

    key: PrivateKey
    certificate: x509.Certificate

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    @property
    def key_pem(self) -> bytes:
        return self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )


def make(
    name: str,
    issuer: Pair | None,
    *,
    key: PrivateKey | None = None,
    purposes: Sequence[ObjectIdentifier] = (),
    start: timedelta = -DAY,
    end: timedelta = 30 * DAY,
) -> Pair:
    """A certificate from `start` to `end`, counted from now: an authority's without purposes, else a leaf's."""
    key = key or ec.generate_private_key(ec.SECP256R1())
    signing = issuer.key if issuer else key
    subject = x509.Name(
        [x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Studio"), x509.NameAttribute(NameOID.COMMON_NAME, name)]
    )
    now, leaf = datetime.now(UTC), bool(purposes)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + start)
        .not_valid_after(now + end)
        .add_extension(x509.BasicConstraints(ca=not leaf, path_length=None), critical=True)
        .add_extension(x509.KeyUsage(leaf, False, False, False, False, not leaf, not leaf, False, False), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signing.public_key()), critical=False)
    )
    if leaf:
        builder = builder.add_extension(x509.ExtendedKeyUsage(list(purposes)), critical=True)
    digest = None if isinstance(signing, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return Pair(key=key, certificate=builder.sign(signing, digest))


def write_key(folder: Path, pair: Pair, mode: int = 0o600) -> Path:
    """The key in a file of its own."""
    path = folder / f"{pair.certificate.serial_number}.key"
    path.write_bytes(pair.key_pem)
    path.chmod(mode)
    return path


def write_chain(folder: Path, *pairs: Pair) -> Path:
    """Certificates in one file."""
    path = folder / f"{pairs[0].certificate.serial_number}.crt"
    path.write_text("".join(pair.pem for pair in pairs))
    return path


@contextmanager
def stamping(folder: Path, root: Pair) -> Iterator[str]:
    """The address of an RFC 3161 service under `root`, while it runs."""
    leaf = make("stamps", root, purposes=[ExtendedKeyUsageOID.TIME_STAMPING])
    key, certificate = write_key(folder, leaf), write_chain(folder, leaf)
    (folder / "serial").write_text("01\n")
    config = folder / "tsa.cnf"
    config.write_text(
        f"[tsa]\ndefault_tsa = it\n[it]\nserial = {folder / 'serial'}\nsigner_digest = sha256\n"
        "default_policy = 1.2.3.4.1\ndigests = sha256, sha384, sha512\naccuracy = secs:1\n"
        "ess_cert_id_chain = no\ness_cert_id_alg = sha256\n"
    )
    command = ["openssl", "ts", "-reply", "-config", str(config), "-inkey", str(key), "-signer", str(certificate)]

    def answer(query: bytes) -> bytes:
        (folder / "query.tsq").write_bytes(query)
        out = folder / "reply.tsr"
        subprocess.run(
            [*command, "-queryfile", str(folder / "query.tsq"), "-out", str(out)], check=True, capture_output=True
        )
        return out.read_bytes()

    with _serving(answer) as address:
        yield address


@contextmanager
def babbling() -> Iterator[str]:
    """The address of a service that answers with no time stamp."""
    with _serving(lambda _: b"no stamp") as address:
        yield address


@contextmanager
def _serving(answer: object) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            reply = answer(self.rfile.read(int(self.headers["Content-Length"])))  # type: ignore[operator]
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
