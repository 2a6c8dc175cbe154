"""Perceptual fingerprints: what a clip looks like, kept, searched, and only ever said to resemble.

A fingerprint claims nothing: a person's own start clip looks like what was made from it. It finds copies that were
re-encoded, resized, letterboxed or mirrored; cropped ones and those with a logo are the watermark's to find.
"""

from hibari.provenance.fingerprint.frames import FrameHash, hashes_of, leave_out_sources
from hibari.provenance.fingerprint.index import FingerprintIndex, Resemblance

__all__ = ["FingerprintIndex", "FrameHash", "Resemblance", "hashes_of", "leave_out_sources"]
