"""Who signs: a certificate authority of this installation's own, or the certificate that its operator gives.

On first use a root and a leaf are made in a folder of mode 0700; the leaf is renewed two years before it ends, so that
any file can be checked for at least that long where no time-stamp authority vouches for its date. What is signed, and
what is said of it, is the business of `sign.py` and `manifest.py`.
"""

import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, Self

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from PIL import Image

from hibari.errors import HibariError, InvalidRequest, Refused
from hibari.provenance.credentials import anchors
from hibari.provenance.credentials.anchors import Anchors
from hibari.provenance.credentials.certificates import (
    LEAF_LIFETIME,
    Issued,
    check_chain,
    check_dates,
    make_leaf,
    make_root,
    organisation_of,
    read_chain,
    read_key,
)
from hibari.provenance.credentials.manifest import TRAINED_ALGORITHMIC_MEDIA
from hibari.provenance.credentials.signing import PublicKey, SignCallback, algorithm_of, checked, signer_of
from hibari.provenance.credentials.timestamps import load_record
from hibari.provenance.keyfiles import ensure_private_folder, read_private, write_private

RENEW_BEFORE = timedelta(days=2 * 365)
WARN_BEFORE = timedelta(days=60)  # for what only the operator can renew
ORGANISATION = "Hibari, self-hosted"
_ROOT, _LEAF = "root.pem", "signer.pem"


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A certificate chain (PEM, the signing one first, no root of ours) and what signs with its key.

    `anchor` is what has to be trusted for that: our root, or the operator's certificate itself.
    """

    leaf: x509.Certificate
    anchor: x509.Certificate
    chain: str
    sign: SignCallback

    @contextmanager
    def signer(self, timestamp_url: str | None = None) -> Iterator[c2pa.Signer]:
        """The library's signer for one file; the private key never enters it.

        Raises what the signing callback raised, or C2paError.
        """
        failures: list[Exception] = []

        def sign(data: bytes) -> bytes:
            try:
                return self.sign(data)
            except Exception as error:  # it has to cross the library, which would swallow it
                failures.append(error)
                raise

        key: PublicKey = self.leaf.public_key()  # type: ignore[assignment]  # certificates.py has checked its kind
        try:
            yield c2pa.Signer.from_callback(sign, algorithm_of(key), self.chain, timestamp_url)
        except c2pa.C2paError:
            if not failures:
                raise
            if isinstance(failures[0], HibariError):
                raise failures[0] from None
            raise Refused(f"The signing callback failed: {failures[0]!r}.", option="signer") from failures[0]


@dataclass(frozen=True, kw_only=True)
class Concern:
    """Something about signing that an operator should know, and what to do about it."""

    about: Literal["certificate", "stamps"]
    found: str
    do: str


@dataclass(frozen=True, kw_only=True)
class Authority:
    """Where the keys are and what the settings say; `open` checks that all of it works."""

    folder: Path
    organisation: str = ORGANISATION
    certificate: Path | None = None
    key: Path | None = None
    callback: SignCallback | None = None
    timestamp_url: str | None = None
    timestamp_root: Path | None = None
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        certificate: Path | None = None,
        key: Path | None = None,
        callback: SignCallback | None = None,
        timestamp_url: str | None = None,
        timestamp_root: Path | None = None,
        organisation: str = ORGANISATION,
    ) -> Self:
        """An authority that has signed one pixel in memory, so that nothing is generated that it could not sign.

        `certificate` (PEM: the signing certificate, then its issuers) comes with either `key` (PEM, mode 0600) or
        `callback`; without it a local authority signs as `organisation`. `timestamp_url` names an RFC 3161 service
        and `timestamp_root` (PEM) the root that its stamps lead to. Raises InvalidRequest for settings that cannot
        go together, Refused for keys and certificates that cannot sign, and OutputError.
        """
        authority = cls(
            folder=folder,
            organisation=organisation,
            certificate=certificate,
            key=key,
            callback=callback,
            timestamp_url=timestamp_url,
            timestamp_root=timestamp_root,
        )
        authority.rehearse()
        return authority

    def __post_init__(self) -> None:
        if self.certificate is None and (self.key or self.callback):
            raise InvalidRequest(
                "A signing key without its certificate.", option="certificate", hint="Give both, or neither."
            )
        if self.certificate is not None and (self.key is None) == (self.callback is None):
            raise InvalidRequest(
                "A certificate signs with one key.", option="private_key", hint="Give a key file or a signing callback."
            )
        if self.timestamp_url is not None and not self.timestamp_url.startswith(("http://", "https://")):
            raise InvalidRequest(
                f"{self.timestamp_url!r} is no address of a time-stamp authority.",
                option="timestamp_url",
                hint="It starts with http:// or https://.",
            )
        if self.timestamp_root is not None and self.timestamp_url is None:
            raise InvalidRequest("A time-stamp authority's root without its address.", option="timestamp_root")

    @property
    def is_made(self) -> bool:
        """Whether there are keys already: an operator's, or our own from an earlier use."""
        return self.certificate is not None or (self.folder / _LEAF).exists()

    def credential(self) -> Credential:
        """What signs now: read, checked and, where it is ours and due, renewed at each call. Raises Refused."""
        ensure_private_folder(self.folder)
        if self.timestamp_root is not None:
            stamps = read_chain(_read_public(self.timestamp_root), self.timestamp_root, option="timestamp_root")
            for certificate in stamps:
                anchors.keep(self.folder, "timestamps", certificate)
        if self.certificate is not None:
            return self._given(self.certificate)
        root = self._root()
        leaf = self._leaf(root)
        anchors.keep(self.folder, "signers", root.certificate)
        return Credential(
            leaf=leaf.certificate,
            anchor=root.certificate,
            chain=_pem(leaf.certificate),
            sign=signer_of(leaf.key),
        )

    def anchors(self) -> Anchors:
        """Whose signatures count here: all that ever signed in this folder, so that old files stay known."""
        return Anchors.load(self.folder)

    def rehearse(self) -> None:
        """Sign one pixel in memory, without a time stamp; raises Refused where a file could not be signed."""
        credential = self.credential()
        pixel, signed = io.BytesIO(), io.BytesIO()
        Image.new("RGB", (1, 1)).save(pixel, "PNG")
        created = {"action": "c2pa.created", "digitalSourceType": TRAINED_ALGORITHMIC_MEDIA}
        actions = {"label": "c2pa.actions.v2", "created": True, "data": {"actions": [created]}}
        try:
            with (
                c2pa.Builder({"assertions": [actions]}, self.anchors().context()) as builder,
                credential.signer() as signer,
            ):
                builder.sign(signer, "image/png", pixel, signed)
        except c2pa.C2paError as error:
            raise Refused(f"Files cannot be signed: {error}.", option="certificate") from error

    def _given(self, path: Path) -> Credential:
        """The operator's certificate with its key or callback."""
        chain = read_chain(_read_public(path), path)
        public = check_chain(chain, path, self.clock())
        if self.callback is not None:
            sign = checked(self.callback, public)
        else:
            assert self.key is not None
            private = read_key(read_private(self.key, option="private_key"), self.key)
            if private.public_key() != public:
                raise Refused(f"The key {self.key} does not belong to the certificate {path}.", option="private_key")
            sign = signer_of(private)
        anchors.keep(self.folder, "signers", chain[0])
        # A reader has its own roots: one that comes with the file proves nothing and is refused by some.
        carried = [certificate for certificate in chain if certificate.issuer != certificate.subject]
        return Credential(leaf=chain[0], anchor=chain[0], chain="".join(map(_pem, carried)), sign=sign)

    def _root(self) -> Issued:
        """The local authority, made on first use and made anew before it would end earlier than a new leaf."""
        path, now = self.folder / _ROOT, self.clock()
        if not path.exists():
            write_private(path, make_root(self.organisation, now).pem(), replace=False)
        root = Issued.from_pem(read_private(path), path)
        if root.certificate.not_valid_after_utc - now < LEAF_LIFETIME:
            write_private(path, make_root(self.organisation, now).pem(), replace=True)
            root = Issued.from_pem(read_private(path), path)
        check_dates(root.certificate, str(path), now)
        return root

    def _leaf(self, root: Issued) -> Issued:
        """The local signer under `root`, renewed in time and when the organisation has another name."""
        path, now = self.folder / _LEAF, self.clock()
        if path.exists():
            leaf = Issued.from_pem(read_private(path), path)
            if (
                leaf.certificate.issuer == root.certificate.subject
                and organisation_of(leaf.certificate) == self.organisation
                and leaf.certificate.not_valid_after_utc - now > RENEW_BEFORE
            ):
                check_dates(leaf.certificate, str(path), now)
                return leaf
        leaf = make_leaf(self.organisation, root, now)
        write_private(path, leaf.pem(), replace=True)
        return leaf


def state_of(authority: Authority) -> list[Concern]:
    """What an operator should know about signing, for `hibari doctor`; raises Refused where nothing can be signed."""
    concerns = []
    end = authority.credential().leaf.not_valid_after_utc
    if authority.certificate is not None and end - authority.clock() < WARN_BEFORE:
        concerns.append(
            Concern(
                about="certificate",
                found=f"the certificate {authority.certificate} ends on {end:%Y-%m-%d}; nothing is made after that",
                do="Have it renewed by the authority that issued it.",
            )
        )
    if authority.timestamp_url is None:
        concerns.append(
            Concern(
                about="stamps",
                found="no time-stamp authority: other readers trust a file signed today until "
                f"{end:%Y-%m-%d}, and from then on only this installation's ledger dates it",
                do="Set HIBARI_TIMESTAMP_URL to an RFC 3161 service.",
            )
        )
        return concerns
    record = load_record(authority.folder, authority.timestamp_url)
    if record.failing:
        concerns.append(
            Concern(
                about="stamps",
                found=f"the time-stamp authority {record.url} failed at {record.failed_at}: {record.reason}",
                do="Files are signed without a stamp until it answers; check its address and the network.",
            )
        )
    elif not record.trusted:
        concerns.append(
            Concern(
                about="stamps",
                found=f"stamps of {record.url} do not count here: its root is not known",
                do="Set timestamp_root to the certificate (PEM) of the root that its stamps lead to.",
            )
        )
    return concerns


def _read_public(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refused(f"The certificate {path} cannot be read ({error.strerror}).", option="certificate") from error


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
