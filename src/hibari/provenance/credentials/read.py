"""Reading Content Credentials back: what a file says of itself, who vouches for it, and whether it still holds.

Any file may come in, so nothing in a manifest is taken to be of the right type, and a broken one is a finding and never
an exception. Whether a file was *made here* is for `verify` to say, which has the ledger and the watermark too.
"""

import base64
import json
import subprocess
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from hibari.errors import InvalidRequest
from hibari.media import child
from hibari.media.child import Limits
from hibari.provenance.credentials.anchors import SIGNERS, Anchors
from hibari.provenance.credentials.manifest import GENERATION
from hibari.provenance.credentials.reader import report
from hibari.provenance.ids import GenerationId

State = Literal["none", "trusted", "valid", "invalid", "unreadable"]
MAX_TEXT = 200  # letters of any text out of a file
LIMITS = Limits(processor_seconds=8.0, memory=2 << 30)  # time to hash some gigabytes of video
_BINDINGS = {"assertion.dataHash.match", "assertion.bmffHash.match", "assertion.boxesHash.match"}
_MISMATCHES = {"assertion.dataHash.mismatch", "assertion.bmffHash.mismatch", "assertion.boxesHash.mismatch"}
_EXPIRED, _UNTRUSTED = "signingCredential.expired", "signingCredential.untrusted"
_WORDS = {
    "assertion.dataHash.mismatch": "the picture is not the one that was signed",
    "assertion.bmffHash.mismatch": "the video is not the one that was signed",
    "assertion.boxesHash.mismatch": "the picture is not the one that was signed",
    "assertion.hashedURI.mismatch": "a statement in the credentials was altered",
    "claimSignature.mismatch": "the signature does not fit the credentials",
    "signingCredential.untrusted": "the signer is not known here",
    "signingCredential.expired": "the signer's certificate has ended, and no trusted time says that it signed before",
    "signingCredential.invalid": "the signer's certificate is not fit for signing",
}


@dataclass(frozen=True, kw_only=True)
class FoundSource:
    """A source that the credentials name; `id` is its own generation id where its credentials came along."""

    relationship: str
    title: str
    has_credentials: bool
    id: GenerationId | None


@dataclass(frozen=True, kw_only=True)
class CredentialFinding:
    """What the credentials say, and what that is worth.

    `state`: "trusted" is whole and signed by this installation; "valid" is whole, but its signer is not known here, or
    has expired without a trusted time; "invalid" does not fit the file or was altered; "unreadable" is damaged; "none"
    says that the file has no credentials. `intact`: picture, sound and statements are what was signed. `authentic`:
    this installation signed these credentials and they were not altered; where the file is not `intact`, they may have
    been put on a picture that never was here, so the watermark has to agree. Everything else is a claim, as good as
    `authentic`; `id` too. `signed_at` is the time in a time stamp. `problems` are the specification's codes, which
    `in_words` explains, or a sentence.

    A manifest out of the ledger that is `intact` with a file and `expired` is as good as trusted: the ledger was there.
    """

    state: State
    found: bool = False
    intact: bool = False
    authentic: bool = False
    expired: bool = False
    id: GenerationId | None = None
    issuer: str = ""
    created_at: datetime | None = None
    signed_at: datetime | None = None
    stamp_trusted: bool = False
    software: str = ""
    model: str = ""
    source_type: str = ""
    sources: tuple[FoundSource, ...] = ()
    problems: tuple[str, ...] = ()


def read(path: Path, mime: str, anchors: Anchors, manifest: bytes | None = None) -> CredentialFinding:
    """The credentials in a file of ours, or those in `manifest` (from the ledger) held against the file.

    Never raises for what is in either of them, but runs the library's native code in this process: files that may come
    from anywhere are for `read_apart`.
    """
    return _judged(report(path, mime, anchors, manifest))


def read_apart(
    path: Path, mime: str, anchors: Anchors, manifest: bytes | None = None, limits: Limits = LIMITS
) -> CredentialFinding:
    """The same in a child process with limits: what hangs or kills it makes the credentials unreadable, no more."""
    given = {"manifest": None if manifest is None else base64.b64encode(manifest).decode("ascii")}
    told = _apart(path, mime, anchors, given, limits)
    return _judged(told) if isinstance(told, dict) else _unreadable(told)


def can_take(path: Path, mime: str, ingredient: dict[str, Any], anchors: Anchors, limits: Limits = LIMITS) -> bool:
    """Whether the library takes a file in as an ingredient, tried in a child process with limits."""
    told = _apart(path, mime, anchors, {"ingredient": ingredient}, limits)
    return isinstance(told, dict) and told["taken"] is True


def _apart(path: Path, mime: str, anchors: Anchors, given: dict[str, Any], limits: Limits) -> dict[str, Any] | str:
    """What the child answers, or why it does not."""
    task, told = {"path": str(path.absolute()), "mime": mime}, json.dumps(given | {"anchors": asdict(anchors)})
    with child.start("hibari.provenance.credentials.reader", task, limits, stdin=subprocess.PIPE) as process:
        try:
            said, _ = process.communicate(told.encode(), timeout=limits.seconds)
        except subprocess.TimeoutExpired:
            return "Reading the credentials takes too long"
        finally:
            process.kill()
    if process.returncode != 0:
        return "Reading the credentials failed or went beyond its limits"
    answer: dict[str, Any] = json.loads(said)
    return answer


def _judged(told: dict[str, Any]) -> CredentialFinding:
    """What a report of the library is worth."""
    if "state" in told:
        problems = (_text(told["problem"]),) if told["problem"] else ()
        return CredentialFinding(state=told["state"], problems=problems)
    try:
        store = json.loads(told["store"])
    except (ValueError, RecursionError):
        return _unreadable("The credentials are nested beyond reading")
    return _finding(_record(store), told["library"])


def _unreadable(problem: str) -> CredentialFinding:
    return CredentialFinding(state="unreadable", problems=(problem,))


def in_words(problem: str) -> str:
    """A problem of a finding as a person would say it."""
    return _WORDS.get(problem, problem)


def _finding(store: dict[str, Any], library_state: str) -> CredentialFinding:
    """Judge a manifest store and read out what its active manifest says."""
    manifests = _record(store.get("manifests"))
    active = _record(manifests.get(_text(store.get("active_manifest"))))
    results = _record(_record(store.get("validation_results")).get("activeManifest"))
    good, bad = _statuses(results.get("success")), _statuses(results.get("failure"))
    codes = {code for code, _ in good}
    failures = {code for code, _ in bad}
    signed = "claimSignature.validated" in codes
    # The library also trusts a signer for the stamping service's root; only our own list makes a file ours. Where a
    # single certificate is pinned it names no list at all.
    ours = any(code == "signingCredential.trusted" and (f"[{SIGNERS}]" in why or "[]" in why) for code, why in good)
    about_signer = {code for code in failures if code in (_UNTRUSTED, _EXPIRED) or code.startswith("timeStamp.")}
    intact = signed and bool(codes & _BINDINGS) and failures <= about_signer
    authentic = signed and ours and failures <= about_signer | _MISMATCHES
    signature = _record(active.get("signature_info"))
    action = _making(active)
    created = _time(action.get("when"))
    return CredentialFinding(
        state=_state(intact=intact, trusted=authentic and library_state == "Trusted"),
        found=True,
        intact=intact,
        authentic=authentic,
        expired=_EXPIRED in failures,
        id=_generation_id(active),
        issuer=_text(signature.get("issuer")),
        created_at=created or _time(signature.get("time")),
        signed_at=_time(signature.get("time")),
        stamp_trusted="timeStamp.trusted" in codes,
        software=_software(active, action),
        model=_text(_assertion(active, "c2pa.ai-disclosure").get("modelName")),
        source_type=_text(action.get("digitalSourceType")),
        sources=tuple(_source(each, manifests) for each in _records(active.get("ingredients"))),
        problems=tuple(dict.fromkeys(code for code, _ in bad)),
    )


def _state(*, intact: bool, trusted: bool) -> State:
    if not intact:
        return "invalid"
    return "trusted" if trusted else "valid"


def _source(found: dict[str, Any], manifests: dict[str, Any]) -> FoundSource:
    own = _record(manifests.get(_text(found.get("active_manifest"))))
    return FoundSource(
        relationship=_text(found.get("relationship")),
        title=_text(found.get("title")),
        has_credentials=bool(own),
        id=_generation_id(own),
    )


def _making(manifest: dict[str, Any]) -> dict[str, Any]:
    """The action that made the picture: the first that names a kind of source, else the first of all."""
    actions: list[dict[str, Any]] = []
    for assertion in _records(manifest.get("assertions")):
        if _text(assertion.get("label")).startswith("c2pa.actions"):
            actions += _records(_record(assertion.get("data")).get("actions"))
    return next((action for action in actions if action.get("digitalSourceType")), actions[0] if actions else {})


def _software(manifest: dict[str, Any], action: dict[str, Any]) -> str:
    """Name and version of what made the picture, else of what wrote the credentials."""
    agent = action.get("softwareAgent")
    if isinstance(agent, str):
        return _text(agent)
    generators = _records(manifest.get("claim_generator_info"))
    named = _record(agent) or (generators[0] if generators else {})
    return f"{_text(named.get('name'))} {_text(named.get('version'))}".strip()


def _generation_id(manifest: dict[str, Any]) -> GenerationId | None:
    text = _text(_assertion(manifest, GENERATION).get("id"))
    try:
        return GenerationId.parse(text) if text else None
    except InvalidRequest:
        return None  # somebody else's assertion of our name


def _assertion(manifest: dict[str, Any], label: str) -> dict[str, Any]:
    """The data of the first assertion of a name, empty where there is none."""
    found = (each for each in _records(manifest.get("assertions")) if each.get("label") == label)
    return _record(next(found, {}).get("data"))


def _statuses(value: Any) -> list[tuple[str, str]]:
    """Codes with their explanations."""
    return [(_text(each.get("code")), _text(each.get("explanation"))) for each in _records(value)]


def _record(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _records(value: Any) -> list[dict[str, Any]]:
    return [each for each in value if isinstance(each, dict)] if isinstance(value, list) else []


def _text(value: Any) -> str:
    """A text that is safe to print: a manifest may hold whole books, and commands to a terminal."""
    if not isinstance(value, str):
        return ""
    return "".join(letter for letter in value[:MAX_TEXT] if letter.isprintable())


def _time(value: Any) -> datetime | None:
    try:
        found = datetime.fromisoformat(_text(value))
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
