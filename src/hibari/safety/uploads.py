"""The upload screen: frames, faces, and whether the person who uploads attests that the people shown agreed.

An attestation is a statement, not a proof: it is recorded with who made it, when and about which file, before the
upload is let through. Nobody's age is guessed from a face; whether a minor is shown is what the person states, and a
false statement stands in the record.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import numpy as np

from hibari.errors import Refused
from hibari.safety.faces import FaceFinder
from hibari.safety.frames import FrameScreen
from hibari.safety.policy import HARD, Action, Finding, Policy, Verdict, strictest, verdict_of

SEXUAL_WITH_A_MINOR = 0.2  # of a frame model's sexual score, above which an upload with a minor is refused hard
STATEMENTS = {
    "adults": "Everyone who can be recognised is an adult and agreed to this use.",
    "minors": "A minor can be recognised; I am the guardian or have the guardian's consent, and all others agreed.",
    "nobody": "No real person can be recognised: the faces are drawn, painted or of an invented person.",
}

HOW_TO_ATTEST = (
    "Use a picture without people, or state with it (consent) who they are: adults, where all are adults who agreed; "
    "minors, where a guardian agrees; nobody, where no real person can be recognised. The statement is recorded."
)


@dataclass(frozen=True, kw_only=True)
class Attestation:
    """What a person stated about an upload: `about` is a key of STATEMENTS, `user` who, `at` when, with a zone."""

    about: str
    user: str
    at: datetime

    def __post_init__(self) -> None:
        if self.about not in STATEMENTS:
            raise Refused(f"{self.about!r} is no attestation.", hint=f"Known: {', '.join(STATEMENTS)}.")
        if not self.user or self.at.tzinfo is None:
            raise Refused("An attestation names its user and a time with its zone.")


@dataclass(frozen=True, kw_only=True)
class AttestationRecord:
    """What is kept: the attestation, the file that it is about, and what the screen saw in it."""

    attestation: Attestation
    sha256: str
    faces: int
    action: Action

    def as_dict(self) -> dict[str, Any]:
        """The record as plain values."""
        return {
            "about": self.attestation.about,
            "statement": STATEMENTS[self.attestation.about],
            "user": self.attestation.user,
            "at": self.attestation.at.isoformat(),
            "sha256": self.sha256,
            "faces": self.faces,
            "action": self.action,
        }


class UploadScreen:
    """Screens pictures and videos that people bring. `record` keeps an attestation, and raises where it cannot."""

    def __init__(
        self,
        policy: Policy,
        frames: FrameScreen,
        record: Callable[[AttestationRecord], None],
        *,
        faces: FaceFinder | None = None,
    ) -> None:
        self.policy = policy
        self._frames = frames
        self._record = record
        self._faces = faces or FaceFinder()

    def screen(
        self, frames: np.ndarray, sha256: str, attestation: Attestation | None = None, age_band: str = "adult"
    ) -> Verdict:
        """The verdict on an upload's frames `(N, H, W, 3)` uint8, picked as `frames.picked` does.

        An attestation is recorded whatever the verdict; where it cannot be recorded there is no verdict but the error.
        """
        found = self._frames.findings(frames)
        faces = max(len(self._faces.find(frame)) for frame in frames)
        minors = attestation is not None and attestation.about == "minors"
        if minors:
            found += _with_a_minor(found)
        verdict = strictest(
            [self.policy.decide("uploads", found, age_band), self._people(faces, attestation, age_band)]
        )
        if attestation is not None:
            self._record(AttestationRecord(attestation=attestation, sha256=sha256, faces=faces, action=verdict.action))
        return verdict

    def _people(self, faces: int, attestation: Attestation | None, age_band: str) -> Verdict:
        """What faces and the attestation lead to."""
        people = "a face" if faces == 1 else f"{faces} faces"
        if attestation is not None and attestation.about == "minors":
            # A minor has no authority to consent for another, whoever says so.
            can_consent = age_band == "adult"
            action = self.policy.minors_with_guardian if can_consent else self.policy.minors_without_guardian
            why = "it shows a minor" + ("" if can_consent else " and no adult guardian attests consent")
            return _verdict("minor_depicted", action, why)
        if faces and attestation is None:
            action = self.policy.faces_without_consent
            verdict = _verdict("real_person_likeness", action, f"it shows {people} and nobody attests their consent")
            return replace(verdict, advice=HOW_TO_ATTEST) if action != "allow" else verdict
        return verdict_of({}, {}, ())


def _verdict(category: str, action: Action, why: str) -> Verdict:
    finding = Finding(category=category, score=1.0, by="faces and attestation", why=why)
    return verdict_of({category: action}, {category: 1.0}, [finding])


def _with_a_minor(found: Sequence[Finding]) -> list[Finding]:
    """Sexual scores of an upload that shows a minor, however low, as sexual content with minors."""
    why = "a picture that is said to show a minor looks sexual"
    return [
        Finding(category=HARD, score=1.0, by=one.by, why=why)
        for one in found
        if one.category == "sexual_content" and one.score >= SEXUAL_WITH_A_MINOR
    ]
