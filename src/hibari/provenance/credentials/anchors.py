"""Whose signatures and whose time stamps count here: certificates in a folder, and the library's settings from them.

Only signers of this installation are anchors: its own roots, and the very certificates that an operator gave. An
operator's public authority is not one, because it issues certificates to strangers too.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

import c2pa
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from hibari.errors import Refused
from hibari.media.files import beside
from hibari.provenance.credentials.certificates import PURPOSES, read_chain
from hibari.provenance.keyfiles import ensure_private_folder

Kind = Literal["signers", "timestamps"]
SIGNERS = "urn:hibari:signers"  # by these names the library says which list vouched for a signature
TIMESTAMPS = "urn:hibari:timestamps"


@dataclass(frozen=True, kw_only=True)
class Anchors:
    """PEM texts: `signers` are roots, `pinned` single signing certificates, `timestamps` roots of stamping services."""

    signers: str = ""
    pinned: str = ""
    timestamps: str = ""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """All that were kept in an authority's folder, none where there is none; raises Refused for a damaged one."""
        roots: list[str] = []
        pinned: list[str] = []
        for certificate in _read(folder, "signers"):
            (roots if certificate.issuer == certificate.subject else pinned).append(_pem(certificate))
        stamps = [_pem(certificate) for certificate in _read(folder, "timestamps")]
        return cls(signers="".join(roots), pinned="".join(pinned), timestamps="".join(stamps))

    def context(self) -> c2pa.Context:
        """The library's settings under which these are trusted; it fetches nothing and embeds no thumbnails."""
        lists = [
            {
                "trust_uri": SIGNERS,
                "trust_kind": "manifest",
                "trust_anchors": self.signers,
                "allowed_list": self.pinned,
            },
            {"trust_uri": TIMESTAMPS, "trust_kind": "tsa", "trust_anchors": self.timestamps},
        ]
        purposes = "".join(f"{purpose.dotted_string}\n" for purpose in PURPOSES)
        return c2pa.Context.from_dict(
            {
                "version": 1,
                "trust": {
                    "anchors": [each for each in lists if each["trust_anchors"] or each.get("allowed_list")],
                    "trust_config": purposes,
                },
                "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False, "verify_after_sign": True},
                "builder": {"thumbnail": {"enabled": False}},
            }
        )


def keep(folder: Path, kind: Kind, certificate: x509.Certificate) -> None:
    """Trust a certificate from now on; raises OutputError. Deleting its file takes the trust away again."""
    place = ensure_private_folder(ensure_private_folder(folder / "anchors") / kind)
    path = place / f"{fingerprint(certificate)[:32]}.pem"
    if path.exists():
        return
    with beside(path) as partial:
        partial.write_text(_pem(certificate), encoding="ascii")


def fingerprints(folder: Path) -> frozenset[str]:
    """SHA-256 of every certificate whose signatures count in an authority's folder; raises Refused for damage."""
    return frozenset(map(fingerprint, _read(folder, "signers")))


def fingerprint(certificate: x509.Certificate) -> str:
    """The SHA-256 by which a certificate is known."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def _read(folder: Path, kind: Kind) -> list[x509.Certificate]:
    found = []
    for path in sorted((folder / "anchors" / kind).glob("*.pem")):
        try:
            data = path.read_bytes()
        except OSError as error:
            raise Refused(f"The anchor {path} cannot be read ({error.strerror}).") from error
        found += read_chain(data, path, option="")
    return found


def _pem(certificate: x509.Certificate) -> str:
    return certificate.public_bytes(serialization.Encoding.PEM).decode("ascii")
