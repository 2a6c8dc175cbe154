"""The local authority, an operator's certificate, callbacks, and what `doctor` hears of them; about 3 seconds."""

import io
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, ObjectIdentifier

import tiny_pki
from hibari.errors import HibariError, InvalidRequest, Refused
from hibari.provenance.credentials.authority import RENEW_BEFORE, WARN_BEFORE, Authority, state_of
from hibari.provenance.credentials.certificates import CLAIM_SIGNING, LEAF_LIFETIME, ROOT_LIFETIME
from hibari.provenance.credentials.signing import SignCallback, load_callback, signer_of
from hibari.provenance.credentials.timestamps import StampRecord
from tiny_pki import DAY, EMAIL


def at(days: float) -> Callable[[], datetime]:
    """A clock that stands some days from now."""
    return lambda: datetime.now(UTC) + timedelta(days=days)


def leaf_at(folder: Path, days: float) -> x509.Certificate:
    return Authority(folder=folder, clock=at(days)).credential().leaf


@pytest.fixture(scope="module")
def root() -> tiny_pki.Pair:
    return tiny_pki.make("root", None)


def test_first_use_makes_keys_for_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "credentials"
    authority = Authority.open(folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    keys = [path for path in folder.iterdir() if path.is_file()]
    assert sorted(path.name for path in keys) == ["root.pem", "signer.pem"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    leaf = authority.credential().leaf
    purposes = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(purposes) == {CLAIM_SIGNING, EMAIL}
    assert leaf == Authority.open(folder).credential().leaf, "the next process signs with the same"
    assert "PRIVATE" not in authority.anchors().signers


def test_workers_that_start_together_share_one_root(tmp_path: Path) -> None:
    with ThreadPoolExecutor(6) as workers:
        authorities = list(workers.map(lambda _: Authority.open(tmp_path / "keys"), range(6)))
    assert len({authority.credential().leaf.issuer for authority in authorities}) == 1
    assert authorities[0].anchors().signers.count("BEGIN CERTIFICATE") == 1
    assert not [path for path in (tmp_path / "keys").iterdir() if path.suffix == ".part"]


@pytest.mark.parametrize("name", ["root.pem", "signer.pem"])
@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
def test_keys_open_to_others_are_refused(tmp_path: Path, name: str, mode: int) -> None:
    Authority.open(tmp_path / "keys")
    path = tmp_path / "keys" / name
    path.chmod(mode)
    with pytest.raises(Refused, match=f"is open to others .*chmod 600 {path}"):
        Authority.open(tmp_path / "keys")


def test_a_folder_open_to_others_is_refused(tmp_path: Path) -> None:
    Authority.open(tmp_path / "keys")
    (tmp_path / "keys").chmod(0o755)
    with pytest.raises(Refused, match="chmod 700"):
        Authority.open(tmp_path / "keys")


@pytest.mark.parametrize("content", [b"", b"nonsense", None])
def test_a_damaged_key_is_refused_and_not_replaced(tmp_path: Path, content: bytes | None) -> None:
    Authority.open(tmp_path)
    path = tmp_path / "signer.pem"
    other = tmp_path / "other"
    Authority.open(other)
    damaged = (other / "signer.pem").read_bytes().split(b"-----BEGIN CERT")[0] if content is None else content
    damaged += b"" if content is not None else b"-----BEGIN CERT" + path.read_bytes().split(b"-----BEGIN CERT")[1]
    path.write_bytes(damaged)
    with pytest.raises(Refused, match=r"signer\.pem"):
        Authority.open(tmp_path)
    assert path.read_bytes() == damaged


def test_the_leaf_is_renewed_long_before_it_ends(tmp_path: Path) -> None:
    first = leaf_at(tmp_path, 0)
    due = (LEAF_LIFETIME - RENEW_BEFORE).days
    assert leaf_at(tmp_path, due - 1) == first
    second = leaf_at(tmp_path, due + 1)
    assert second != first and second.issuer == first.issuer
    assert second.not_valid_after_utc - first.not_valid_after_utc > timedelta(days=due)


def test_the_root_is_renewed_before_a_leaf_would_outlive_it_and_stays_trusted(tmp_path: Path) -> None:
    first = leaf_at(tmp_path, 0)
    second = leaf_at(tmp_path, (ROOT_LIFETIME - LEAF_LIFETIME).days + 2)
    assert second.issuer != first.issuer
    assert Authority(folder=tmp_path).anchors().signers.count("BEGIN CERTIFICATE") == 2


def test_a_new_organisation_has_a_new_leaf(tmp_path: Path) -> None:
    Authority.open(tmp_path)
    leaf = Authority.open(tmp_path, organisation="Studio Hibari 雲雀").credential().leaf
    assert "O=Studio Hibari 雲雀" in leaf.subject.rfc4514_string()


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "two\nlines"])
def test_an_organisation_that_fits_no_certificate(tmp_path: Path, name: str) -> None:
    with pytest.raises(InvalidRequest, match="does not fit into a certificate"):
        Authority.open(tmp_path, organisation=name)


def test_a_clock_that_stands_before_the_certificate(tmp_path: Path) -> None:
    Authority.open(tmp_path)
    with pytest.raises(Refused, match=r"not valid yet .*clock"):
        leaf_at(tmp_path, -30)


@pytest.mark.parametrize("purposes", [[EMAIL], [CLAIM_SIGNING], [ObjectIdentifier("1.3.6.1.5.5.7.3.36")]])
@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256R1()),
        ec.generate_private_key(ec.SECP384R1()),
        ec.generate_private_key(ec.SECP521R1()),
        ed25519.Ed25519PrivateKey.generate(),
        rsa.generate_private_key(65537, 2048),
    ],
    ids=["p256", "p384", "p521", "ed25519", "rsa"],
)
def test_an_operators_certificate_of_any_usual_kind(
    tmp_path: Path, root: tiny_pki.Pair, purposes: list[ObjectIdentifier], key: tiny_pki.PrivateKey
) -> None:
    middle = tiny_pki.make("middle", root)
    leaf = tiny_pki.make("leaf", middle, key=key, purposes=purposes)
    authority = Authority.open(
        tmp_path / "keys",
        certificate=tiny_pki.write_chain(tmp_path, leaf, middle, root),
        key=tiny_pki.write_key(tmp_path, leaf),
    )
    assert authority.credential().chain.count("BEGIN CERTIFICATE") == 2, "the root stays out of the file"
    assert authority.anchors().signers == "", "an authority that serves strangers vouches for nobody here"
    assert leaf.pem in authority.anchors().pinned


Case = Callable[[tiny_pki.Pair], tuple[list[tiny_pki.Pair], tiny_pki.Pair]]


def bad(**settings: object) -> Case:
    """A leaf with something wrong, under the root."""

    def build(root: tiny_pki.Pair) -> tuple[list[tiny_pki.Pair], tiny_pki.Pair]:
        leaf = tiny_pki.make("leaf", root, **({"purposes": [EMAIL]} | settings))  # type: ignore[arg-type]
        return [leaf, root], leaf

    return build


def self_signed(_: tiny_pki.Pair) -> tuple[list[tiny_pki.Pair], tiny_pki.Pair]:
    leaf = tiny_pki.make("leaf", None, purposes=[EMAIL])
    return [leaf], leaf


def other_key(root: tiny_pki.Pair) -> tuple[list[tiny_pki.Pair], tiny_pki.Pair]:
    return [tiny_pki.make("leaf", root, purposes=[EMAIL])], tiny_pki.make("leaf", root, purposes=[EMAIL])


def other_issuer(root: tiny_pki.Pair) -> tuple[list[tiny_pki.Pair], tiny_pki.Pair]:
    leaf = tiny_pki.make("leaf", root, purposes=[EMAIL])
    return [leaf, tiny_pki.make("root", None)], leaf


def authority_first(root: tiny_pki.Pair) -> tuple[list[tiny_pki.Pair], tiny_pki.Pair]:
    middle = tiny_pki.make("middle", root)
    return [middle, root], middle


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (bad(start=-9 * DAY, end=-DAY), "has expired"),
        (bad(start=DAY), "is not valid yet"),
        (bad(purposes=[ExtendedKeyUsageOID.SERVER_AUTH]), "lacks an extended key usage"),
        (bad(purposes=[ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE]), "lacks an extended key usage"),
        (bad(key=ec.generate_private_key(ec.SECP224R1())), "a key of a kind that Content Credentials do not use"),
        (self_signed, "is signed by itself"),
        (other_key, "does not belong to the certificate"),
        (other_issuer, "is not followed by the one that issued it"),
        (authority_first, "is an authority's own"),
    ],
    ids=["expired", "early", "server", "any", "p224", "self-signed", "key", "issuer", "authority"],
)
def test_a_wrong_certificate_is_refused_before_anything_is_made(
    tmp_path: Path, root: tiny_pki.Pair, case: Case, message: str
) -> None:
    chain, owner = case(root)
    with pytest.raises(Refused, match=message):
        Authority.open(
            tmp_path / "keys",
            certificate=tiny_pki.write_chain(tmp_path, *chain),
            key=tiny_pki.write_key(tmp_path, owner),
        )
    assert not (tmp_path / "keys" / "anchors").exists(), "and it is not trusted either"


def test_a_certificate_without_purposes_or_digital_signature(tmp_path: Path, root: tiny_pki.Pair) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    plain = (
        x509.CertificateBuilder(
            issuer_name=root.certificate.subject,
            subject_name=tiny_pki.make("leaf", root).certificate.subject,
            public_key=key.public_key(),
            serial_number=1,
            not_valid_before=datetime.now(UTC) - DAY,
            not_valid_after=datetime.now(UTC) + DAY,
        )
    ).sign(root.key, hashes.SHA256())
    pair = tiny_pki.Pair(key=key, certificate=plain)
    given = {"certificate": tiny_pki.write_chain(tmp_path, pair), "key": tiny_pki.write_key(tmp_path, pair)}
    with pytest.raises(Refused, match="lacks the key usage digitalSignature"):
        Authority.open(tmp_path / "keys", **given)  # type: ignore[arg-type]


def test_key_files_that_cannot_be_used(tmp_path: Path, root: tiny_pki.Pair) -> None:
    leaf = tiny_pki.make("leaf", root, purposes=[EMAIL])
    certificate, key = tiny_pki.write_chain(tmp_path, leaf), tiny_pki.write_key(tmp_path, leaf)

    def refused(match: str, certificate: Path = certificate) -> None:
        with pytest.raises(Refused, match=match):
            Authority.open(tmp_path / "keys", certificate=certificate, key=key)

    key.chmod(0o644)
    refused("open to others")
    locked = serialization.BestAvailableEncryption(b"secret")
    key.write_bytes(leaf.key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, locked))
    key.chmod(0o600)
    refused("locked by a passphrase")
    key.write_bytes(b"nonsense")
    refused("holds no private key")
    key.unlink()
    refused("cannot be read")
    refused("cannot be read", tmp_path / "missing.crt")
    certificate.write_bytes(b"nonsense")
    refused("holds no certificate")


def test_settings_that_cannot_go_together(tmp_path: Path) -> None:
    for given in (
        {"key": tmp_path / "a.key"},
        {"certificate": tmp_path / "a.crt"},
        {"certificate": tmp_path / "a.crt", "key": tmp_path / "a.key", "callback": bytes},
        {"timestamp_url": "ftp://stamps.example"},
        {"timestamp_root": tmp_path / "root.pem"},
    ):
        with pytest.raises(InvalidRequest):
            Authority.open(tmp_path, **given)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def with_callback(tmp_path: Path, leaf: tiny_pki.Pair, callback: SignCallback) -> Authority:
    return Authority.open(tmp_path / "keys", certificate=tiny_pki.write_chain(tmp_path, leaf), callback=callback)


@pytest.mark.parametrize("form", ["der", "raw", "rsa"])
def test_a_callback_signs_where_the_key_lives(tmp_path: Path, root: tiny_pki.Pair, form: str) -> None:
    ours = rsa.generate_private_key(65537, 2048) if form == "rsa" else ec.generate_private_key(ec.SECP256R1())
    asked = io.BytesIO()

    def callback(data: bytes) -> bytes:
        asked.write(data)
        if isinstance(ours, rsa.RSAPrivateKey):
            pss = padding.PSS(padding.MGF1(hashes.SHA256()), padding.PSS.DIGEST_LENGTH)
            return ours.sign(data, pss, hashes.SHA256())
        return signer_of(ours)(data) if form == "raw" else ours.sign(data, ec.ECDSA(hashes.SHA256()))

    with_callback(tmp_path, tiny_pki.make("leaf", root, key=ours, purposes=[EMAIL]), callback)
    assert asked.getvalue()
    assert not list((tmp_path / "keys").glob("*.pem")), "no key of ours is made beside it"


def failing(_: bytes) -> bytes:
    raise ConnectionError("the vault does not answer")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("callback", "message"),
    [
        (signer_of(ec.generate_private_key(ec.SECP256R1())), "no signature of the certificate's key"),
        (lambda data: data[:20], "no ECDSA signature"),
        (lambda _: "text", "returns str, not bytes"),
        (failing, "the vault does not answer"),
    ],
)
def test_a_callback_that_cannot_sign(tmp_path: Path, root: tiny_pki.Pair, callback: SignCallback, message: str) -> None:
    with pytest.raises(Refused, match=message):
        with_callback(tmp_path, tiny_pki.make("leaf", root, purposes=[EMAIL]), callback)


def test_a_callback_by_its_name() -> None:
    assert load_callback("os:urandom").__name__ == "urandom"
    for name in ("os", "os:", ":x", "os:nothing", "no.such.module:sign", "os:sep"):
        with pytest.raises(InvalidRequest):
            load_callback(name)


def test_what_doctor_hears(tmp_path: Path, root: tiny_pki.Pair) -> None:
    url = "http://127.0.0.1:1/"
    [concern] = state_of(Authority(folder=tmp_path / "a"))
    assert "no time-stamp authority" in concern.found
    stamped = Authority(folder=tmp_path / "a", timestamp_url=url)
    assert state_of(stamped) == []
    record, now = StampRecord(url=url), datetime.now(UTC)
    record.failed(now, "connection\nrefused").save(stamped.folder)
    assert "connection refused" in state_of(stamped)[0].found
    record.succeeded(now, trusted=False).save(stamped.folder)
    assert "its root is not known" in state_of(stamped)[0].found
    assert state_of(Authority(folder=tmp_path / "a", timestamp_url=url + "other")) == []
    (stamped.folder / "timestamps.json").write_text('{"url": 1, "surprise": 2}')
    assert state_of(stamped) == []

    leaf = tiny_pki.make("leaf", root, purposes=[EMAIL], end=WARN_BEFORE - DAY)
    given = {"certificate": tiny_pki.write_chain(tmp_path, leaf), "key": tiny_pki.write_key(tmp_path, leaf)}
    own = Authority(folder=tmp_path / "b", timestamp_url=url, **given)  # type: ignore[arg-type]
    assert "nothing is made after that" in state_of(own)[0].found
    ended = Authority(folder=tmp_path / "b", timestamp_url=url, clock=at(60), **given)  # type: ignore[arg-type]
    with pytest.raises(HibariError, match="has expired"):
        state_of(ended)
