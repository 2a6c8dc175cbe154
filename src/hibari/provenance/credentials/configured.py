"""The authority that the settings name. What it then does with keys and certificates is `authority.py`'s business."""

from hibari.config import Settings
from hibari.provenance.credentials.authority import ORGANISATION, Authority
from hibari.provenance.credentials.signing import load_callback
from hibari.provenance.places import CREDENTIALS


def authority_of(settings: Settings) -> Authority:
    """Who signs, by the settings; no key is read or made yet. Raises InvalidRequest for a signer that does not load."""
    own = settings.certificate is None
    return Authority(
        folder=settings.home / CREDENTIALS,
        organisation=(settings.organisation or ORGANISATION) if own else ORGANISATION,
        certificate=settings.certificate,
        key=settings.private_key,
        callback=None if settings.signer is None else load_callback(settings.signer),
        timestamp_url=settings.timestamp_url,
        timestamp_root=settings.timestamp_root,
    )
