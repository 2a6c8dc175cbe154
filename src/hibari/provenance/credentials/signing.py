"""Signatures as Content Credentials carry them: by a key in a file, or by a callback to a KMS, HSM or other service.

No certificate is made or judged here: see `certificates.py`.
"""

from collections.abc import Callable
from importlib import import_module

import c2pa
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

from hibari.errors import InvalidRequest, Refused

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey | ed25519.Ed25519PrivateKey
PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey | ed25519.Ed25519PublicKey
SignCallback = Callable[[bytes], bytes]
"""From bytes to their signature under the certificate's key.

ECDSA with the curve's own hash (P-256: SHA-256, P-384: SHA-384, P-521: SHA-512), as DER or as r and s one after the
other; Ed25519; or RSASSA-PSS with SHA-256 and a salt of 32 bytes.
"""

MIN_RSA_BITS = 2048
_CURVES: dict[str, tuple[c2pa.C2paSigningAlg, type[hashes.HashAlgorithm]]] = {
    "secp256r1": (c2pa.C2paSigningAlg.ES256, hashes.SHA256),
    "secp384r1": (c2pa.C2paSigningAlg.ES384, hashes.SHA384),
    "secp521r1": (c2pa.C2paSigningAlg.ES512, hashes.SHA512),
}


def is_signing_key(key: object) -> bool:
    """Whether Content Credentials can be signed with a (public or private) key of this kind and size."""
    if isinstance(key, ec.EllipticCurvePrivateKey | ec.EllipticCurvePublicKey):
        return key.curve.name in _CURVES
    if isinstance(key, rsa.RSAPrivateKey | rsa.RSAPublicKey):
        return key.key_size >= MIN_RSA_BITS
    return isinstance(key, ed25519.Ed25519PrivateKey | ed25519.Ed25519PublicKey)


def algorithm_of(key: PublicKey) -> c2pa.C2paSigningAlg:
    """The one algorithm that is used with a key of this kind."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        return _CURVES[key.curve.name][0]
    return c2pa.C2paSigningAlg.PS256 if isinstance(key, rsa.RSAPublicKey) else c2pa.C2paSigningAlg.ED25519


def signer_of(key: PrivateKey) -> SignCallback:
    """Sign with a key that is here."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        curve, digest = key.curve, _CURVES[key.curve.name][1]()
        return lambda data: _joined(key.sign(data, ec.ECDSA(digest)), curve)
    if isinstance(key, rsa.RSAPrivateKey):
        return lambda data: key.sign(data, _pss(), hashes.SHA256())
    return key.sign


def checked(callback: SignCallback, key: PublicKey) -> SignCallback:
    """`callback` with each signature tried against the certificate's `key`; raises Refused where it does not fit."""

    def sign(data: bytes) -> bytes:
        given = callback(data)
        if not isinstance(given, bytes):
            raise Refused(f"The signing callback returns {type(given).__name__}, not bytes.", option="signer")
        signature = _joined(given, key.curve) if isinstance(key, ec.EllipticCurvePublicKey) else given
        try:
            _verify(key, signature, data)
        except InvalidSignature as error:
            raise Refused(
                "What the signing callback returns is no signature of the certificate's key.",
                option="signer",
                hint="Let both name the same key, and sign as the documentation of SignCallback says.",
            ) from error
        return signature

    return sign


def load_callback(name: str) -> SignCallback:
    """The function that "module:function" names, as a setting gives it; raises InvalidRequest."""
    module, _, function = name.partition(":")
    try:
        found = getattr(import_module(module), function) if module and function else None
    except (ImportError, AttributeError) as error:
        raise InvalidRequest(f"The signing callback {name} does not load ({error}).", option="signer") from error
    if not callable(found):
        raise InvalidRequest(f"{name!r} names no signing callback.", option="signer", hint="Write module:function.")
    callback: SignCallback = found
    return callback


def _joined(signature: bytes, curve: ec.EllipticCurve) -> bytes:
    """r and s one after the other, as COSE wants them (RFC 9053, 2.1), from that form or from DER."""
    size = (curve.key_size + 7) // 8
    if len(signature) == 2 * size:
        return signature
    try:
        numbers = decode_dss_signature(signature)
        return b"".join(number.to_bytes(size, "big") for number in numbers)
    except (ValueError, OverflowError) as error:
        raise Refused("What the signing callback returns is no ECDSA signature.", option="signer") from error


def _verify(key: PublicKey, signature: bytes, data: bytes) -> None:
    """Raise InvalidSignature unless `signature` is one of `data` by `key`."""
    if isinstance(key, ec.EllipticCurvePublicKey):
        half = len(signature) // 2
        numbers = (int.from_bytes(part, "big") for part in (signature[:half], signature[half:]))
        key.verify(encode_dss_signature(*numbers), data, ec.ECDSA(_CURVES[key.curve.name][1]()))
    elif isinstance(key, rsa.RSAPublicKey):
        key.verify(signature, data, _pss(), hashes.SHA256())
    else:
        key.verify(signature, data)


def _pss() -> padding.PSS:
    return padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=padding.PSS.DIGEST_LENGTH)
