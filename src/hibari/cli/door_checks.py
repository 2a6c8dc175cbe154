"""The doctor's look at the door: who signs, time stamps, keys, ledger, marks, and the parts that screen.

Each part is looked at for itself: one that is broken is named, with what to do, and the others are looked at all the
same. Nothing is asked over the network unless a stamp is asked for, and no key or database is made.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from hibari.cli.finding import Finding
from hibari.config import Settings
from hibari.errors import HibariError, StoreError, install

SQLITE = "sqlite:///"
REINSTALL = install()


def examine_door(settings: Settings, *, stamp: bool = False) -> Iterator[Finding]:
    """Look at every part; with `stamp`, ask the time-stamp authority for one now."""
    looks: list[tuple[str, Callable[[Settings], Iterator[Finding]], str]] = [
        ("signing", _signing, "Put the file back from a backup, or set another certificate."),
        ("stamps", partial(_stamps, ask=stamp), "Put right what keeps files from being signed."),
        ("keys", _keys, "Put the file back from a backup."),
        ("ledger", _ledger, "Look at the database with its own tools, or restore it from a backup."),
        ("marks", _marks, REINSTALL),
        ("policy", _policy, "Put the file right, or leave HIBARI_POLICY out."),
        ("screens", _screens, f"Take the file away, or: {REINSTALL}"),
        ("service", _service, "Set HIBARI_MODEL and HIBARI_ALIASES."),
        ("guard", _guard, "Take the folder away, or put a whole model into it."),
    ]
    for what, look, advice in looks:
        try:
            yield from look(settings)
        except HibariError as error:
            yield Finding("no", what, error.message, error.hint or advice)
        except ImportError as error:
            yield Finding("no", what, f"does not load ({error})", REINSTALL)
        except OSError as error:
            yield Finding("no", what, f"{error.filename}: {error.strerror}", "Check who owns it, and its disk.")


def _signing(settings: Settings) -> Iterator[Finding]:
    from hibari.provenance.credentials.authority import state_of
    from hibari.provenance.credentials.certificates import organisation_of
    from hibari.provenance.credentials.configured import authority_of

    authority = authority_of(settings)
    if not authority.is_made:
        found = f"an authority of this installation's own, as {authority.organisation}, made on first use"
        yield Finding("ok", "signing", found)
        return
    leaf = authority.credential().leaf
    authority.rehearse()
    if settings.certificate is None:
        who, until = "a local authority", "renewed by itself two years before"
    else:
        key = f"the callback {settings.signer}" if settings.signer else f"the key {settings.private_key}"
        who = f"{settings.certificate} with {key}"
        until = "which only its issuer can renew"
    found = f"{organisation_of(leaf)}: {who}, until {leaf.not_valid_after_utc:%Y-%m-%d}, {until}"
    yield Finding("ok", "signing", found)
    for concern in state_of(authority):
        if concern.about == "certificate":
            yield Finding("note", "signing", concern.found, concern.do)


def _stamps(settings: Settings, *, ask: bool) -> Iterator[Finding]:
    from hibari.provenance.credentials.authority import state_of
    from hibari.provenance.credentials.configured import authority_of
    from hibari.provenance.credentials.sign import try_stamp
    from hibari.provenance.credentials.timestamps import load_record

    authority = authority_of(settings)
    if ask:
        settings.ensure_home()
        try_stamp(authority)
    if settings.timestamp_url is not None:
        record = load_record(authority.folder, settings.timestamp_url)
        found = f"{record.url}: last stamp {record.stamped_at or 'never'}"
        yield Finding("ok", "stamps", found)
    elif not authority.is_made:
        yield Finding("ok", "stamps", "no time-stamp authority is set: the ledger alone keeps the time")
    if authority.is_made:
        for concern in state_of(authority):
            if concern.about == "stamps":
                yield Finding("no" if ask else "note", "stamps", concern.found, concern.do)


def _keys(settings: Settings) -> Iterator[Finding]:
    from hibari.provenance.places import KEYS
    from hibari.provenance.watermark.keys import KeyRing

    _check_house(settings)
    folder = settings.home / KEYS
    if not folder.exists():
        yield Finding("ok", "keys", "no watermark key yet; one a month is made on use")
        return
    keys = KeyRing.open(folder).all()
    newest = f", the newest {keys[0].name}" if keys else ""
    found = f"{len(keys)} for the watermark{newest}, for their owner alone in {folder} (keep a backup of it)"
    yield Finding("ok", "keys", found)


def _check_house(settings: Settings) -> None:
    """Raise WrongSecrets where the database knows other secrets than this machine has: nothing starts then."""
    from hibari.provenance.credentials.configured import authority_of
    from hibari.provenance.house import House
    from hibari.provenance.places import KEYS, ledger_url
    from hibari.provenance.watermark.keys import KeyRing
    from hibari.store import Store

    url = ledger_url(settings)
    file = _file_of(url)
    if file is not None and not file.exists():
        return
    try:
        store = Store.open(url, migrate=False, timeout_s=2)
    except StoreError:
        return  # the ledger's own line says what is wrong with it
    with store:
        # Not `house_of`, which makes the folder.
        House(store=store, keys=KeyRing(folder=settings.home / KEYS), authority=authority_of(settings)).check()


def _service(settings: Settings) -> Iterator[Finding]:
    from hibari.serve.api.models import Models

    Models(settings).check()
    yield Finding("ok", "service", "HIBARI_MODEL and every alias lead to a model that is here")


def _ledger(settings: Settings) -> Iterator[Finding]:
    from sqlalchemy import func, select

    from hibari.provenance.places import ledger_url
    from hibari.store import Store, tables
    from hibari.store.schema import newest

    url = ledger_url(settings)
    file = _file_of(url)
    if file is not None and not file.exists():
        yield Finding("ok", "ledger", f"{file} (made when it is needed)")
        return
    with Store.open(url, migrate=False, timeout_s=2) as store:
        with store.reading() as connection:
            count = connection.execute(select(func.count()).select_from(tables.generations)).scalar_one()
        size = "" if file is None else f", {file.stat().st_size / 1e6:.1f} MB"
        yield Finding("ok", "ledger", f"{store.name}: schema {newest()}, {count} recorded{size}")


def _marks(settings: Settings) -> Iterator[Finding]:
    from hibari.provenance.label import Label

    label = Label.of(settings)
    if label is None:
        advice = "Whoever publishes a file has to say that it is generated: see docs/provenance.md."
        yield Finding("note", "marks", f"no visible label, region {settings.region}", advice)
        return
    also = ", and the AIGC label in the metadata" if settings.region == "cn" else ""
    yield Finding("ok", "marks", f"visible label {label.text!r}{also}, region {settings.region}")


def _policy(settings: Settings) -> Iterator[Finding]:
    from hibari.safety import Policy

    policy = Policy.load(settings.policy)
    yield Finding("ok", "policy", f"{policy.name}, {settings.policy or 'as it comes with Hibari'}")


def _screens(settings: Settings) -> Iterator[Finding]:
    from hibari import catalog
    from hibari.produce.screens import SENTENCES_BY
    from hibari.provenance.places import SAFETY
    from hibari.safety import Policy
    from hibari.safety.faces import FaceFinder
    from hibari.safety.frames import FrameScreen

    FaceFinder()
    # With the policy that comes along: whether the operator's can be read is another line of the report.
    models = FrameScreen.load(Policy.load(), settings.home / SAFETY).models
    names = ", ".join(model.name for model in models)
    catalog.find(SENTENCES_BY, settings)
    yield Finding("ok", "screens", f"frames by {names}; faces by YuNet; prompts by the text encoder of {SENTENCES_BY}")


def _guard(settings: Settings) -> Iterator[Finding]:
    from hibari.provenance.places import SAFETY
    from hibari.safety.guard import guard_folder

    folder = guard_folder(settings.home / SAFETY)
    if folder is None:
        found = "no guard model: prompts that are not in English are treated as the policy says of unread_language"
        yield Finding("ok", "guard", found)
        return
    yield Finding("ok", "guard", f"a guard model in {folder}; it is loaded with the first request")


def _file_of(url: str | Path) -> Path | None:
    """The database's file; None for a server's."""
    if isinstance(url, Path):
        return url
    return Path(url.removeprefix(SQLITE)).expanduser() if url.startswith(SQLITE) else None
