"""Certificates that sign Content Credentials: the two that Hibari makes for itself, and judging one that it is given.

Where they are kept and when they are renewed is `authority.py`'s business.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from hibari.errors import InvalidRequest, Refused
from hibari.provenance.credentials.signing import PrivateKey, PublicKey, is_signing_key

CLAIM_SIGNING = ObjectIdentifier("1.3.6.1.4.1.62558.2.1")  # c2pa-kp-claimSigning, C2PA 2.2
DOCUMENT_SIGNING = ObjectIdentifier("1.3.6.1.5.5.7.3.36")  # RFC 9336
PURPOSES = (CLAIM_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION, DOCUMENT_SIGNING)
ROOT_LIFETIME = timedelta(days=25 * 365)
LEAF_LIFETIME = timedelta(days=3 * 365)
MAX_NAME = 64  # X.520's bound on an organisation's name
_CLOCK_SKEW = timedelta(minutes=5)  # the reader's clock may be behind ours


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A certificate with the private key to it."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    def pem(self) -> bytes:
        """Both in one file, so that a crash can never leave one without the other."""
        private = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return private + self.certificate.public_bytes(serialization.Encoding.PEM)

    @classmethod
    def from_pem(cls, data: bytes, path: Path) -> "Issued":
        """Both out of the file `path`; raises Refused."""
        certificate = read_chain(data, path, option="")[0]
        key = read_key(data, path, option="")
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise Refused(f"{path} is damaged.", hint="Put the file back from a backup, or move it away.")
        return cls(key=key, certificate=certificate)


def make_root(organisation: str, now: datetime) -> Issued:
    """A certificate authority of this installation's own, which signs its leaves and nothing else."""
    key = ec.generate_private_key(ec.SECP256R1())
    # Two installations of one organisation must not have authorities of one name.
    name = _name(organisation, f"Hibari root {secrets.token_hex(4)}")
    builder = _builder(name, name, key, now, now + ROOT_LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_key_usage(authority=True), critical=True)
    return Issued(key=key, certificate=builder.sign(key, hashes.SHA256()))


def make_leaf(organisation: str, root: Issued, now: datetime) -> Issued:
    """A certificate that signs files, under `root`, with both purposes that readers in the field look for."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _name(organisation, "Hibari video signer")
    builder = _builder(name, root.certificate.subject, key, now, now + LEAF_LIFETIME)
    builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
    builder = builder.add_extension(_key_usage(authority=False), critical=True)
    builder = builder.add_extension(x509.ExtendedKeyUsage(PURPOSES[:2]), critical=True)
    issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(root.key.public_key())
    builder = builder.add_extension(issuer, critical=False)
    return Issued(key=key, certificate=builder.sign(root.key, hashes.SHA256()))


def organisation_of(certificate: x509.Certificate) -> str:
    """The organisation in whose name a certificate signs; empty where it names none."""
    found = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(found[0].value) if found else ""


def read_chain(data: bytes, path: Path, *, option: str = "certificate") -> list[x509.Certificate]:
    """The certificates in a PEM file, the signing one first; raises Refused."""
    try:
        return x509.load_pem_x509_certificates(data)
    except ValueError as error:
        raise Refused(
            f"{path} holds no certificate that can be read.",
            option=option,
            hint="Give a PEM file: the signing certificate first, then those that issued it.",
        ) from error


def read_key(data: bytes, path: Path, *, option: str = "private_key") -> PrivateKey:
    """The private key in a PEM file; raises Refused."""
    try:
        key = serialization.load_pem_private_key(data, password=None)
    except TypeError as error:
        raise Refused(
            f"The key in {path} is locked by a passphrase.",
            option=option,
            hint="Keep it unlocked in a file of mode 0600, or set a signing callback.",
        ) from error
    except ValueError as error:
        raise Refused(f"{path} holds no private key that can be read.", option=option) from error
    if not is_signing_key(key):
        raise Refused(
            f"The key in {path} is of a kind that Content Credentials do not use.",
            option=option,
            hint="Use P-256, P-384, P-521, Ed25519, or RSA of 2048 bits or more.",
        )
    return key  # type: ignore[return-value]  # is_signing_key has said so


def check_chain(chain: Sequence[x509.Certificate], path: Path, now: datetime) -> PublicKey:
    """The public key of an operator's certificate; raises Refused where it cannot sign Content Credentials."""
    leaf = chain[0]
    check_dates(leaf, str(path), now)
    key = leaf.public_key()
    problem = ""
    if leaf.issuer == leaf.subject:
        problem = "is signed by itself, and no reader accepts that. Get one that an authority issued"
    elif not is_signing_key(key):
        problem = "has a key of a kind that Content Credentials do not use"
    elif _is_authority(leaf):
        problem = "is an authority's own. Put the signing certificate first"
    elif not _may_sign(leaf):
        problem = "lacks the key usage digitalSignature"
    elif not _has_purpose(leaf):
        problem = "lacks an extended key usage that readers accept (claim signing, e-mail protection, document signing)"
    elif not organisation_of(leaf):
        problem = "names no organisation"
    if problem:
        raise Refused(f"The certificate {path} {problem}.", option="certificate")
    for certificate, issuer in pairwise(chain):
        if not _issued_by(certificate, issuer):
            raise Refused(
                f"In {path} a certificate is not followed by the one that issued it.",
                option="certificate",
                hint="The order is: signing certificate, its issuer, the issuer's issuer.",
            )
    return key  # type: ignore[return-value]  # is_signing_key has said so


def check_dates(certificate: x509.Certificate, what: str, now: datetime) -> None:
    """Raise Refused outside a certificate's time."""
    if now > certificate.not_valid_after_utc:
        raise Refused(
            f"The certificate {what} has expired ({certificate.not_valid_after_utc:%Y-%m-%d}).",
            option="certificate",
            hint="Have it renewed by the authority that issued it.",
        )
    if now < certificate.not_valid_before_utc:
        raise Refused(
            f"The certificate {what} is not valid yet (from {certificate.not_valid_before_utc:%Y-%m-%d}).",
            option="certificate",
            hint="Is this machine's clock right?",
        )


def _issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _is_authority(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


def _may_sign(certificate: x509.Certificate) -> bool:
    try:
        return certificate.extensions.get_extension_for_class(x509.KeyUsage).value.digital_signature
    except x509.ExtensionNotFound:
        return False


def _has_purpose(certificate: x509.Certificate) -> bool:
    try:
        purposes = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return False
    return any(purpose in PURPOSES for purpose in purposes)


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, start: datetime, end: datetime
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        subject_name=subject,
        issuer_name=issuer,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=start - _CLOCK_SKEW,
        not_valid_after=end,
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _name(organisation: str, common_name: str) -> x509.Name:
    if not (0 < len(organisation) <= MAX_NAME and organisation.isprintable() and organisation.strip()):
        raise InvalidRequest(
            "The organisation's name does not fit into a certificate.",
            option="organisation",
            hint=f"Give 1 to {MAX_NAME} printable characters. Everyone who gets a file can read it.",
        )
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, organisation),
            x509.NameAttribute(NameOID.COMMON_NAME, common_name),
        ]
    )
