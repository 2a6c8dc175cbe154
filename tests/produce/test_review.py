"""What is held is let through or turned down once, by someone who may, and is never lost. About 15 seconds."""

import hashlib
import os
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from hibari.config import operator
from hibari.errors import Held, HibariError, InvalidRequest, OutputError, Refused
from hibari.media.files import ABANDONED_S
from hibari.produce import Hibari
from hibari.produce.progress import Progress
from hibari.produce.review import ReviewDesk, permission
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import HeldFiles, HeldItem, Ledger, Reviews, Ruling
from hibari.provenance.places import INDEX, ledger_url
from hibari.provenance.verify import Verifier
from hibari.request import GenerationRequest
from hibari.safety.policy import SHIPPED
from hibari.store import Store
from houses import holding, own_home

GERMAN = "ein Oktopus schwimmt mit dem Fisch nach links"


@pytest.fixture(scope="module")
def maker(home: Path, tmp_path_factory: pytest.TempPathFactory) -> Hibari:
    """Ann's, with a policy that holds every frame; rita is the reviewer."""
    folder = tmp_path_factory.mktemp("review")
    settings = {"model": "tiny", "device": "cpu", "dtype": "float32", "user": "ann", "reviewers": "rita"}
    return Hibari(home=own_home(home, folder / "home"), policy=holding(folder), **settings)


@pytest.fixture
def desk(maker: Hibari) -> ReviewDesk:
    return ReviewDesk(replace(maker.settings, user="rita"))


def hold(maker: Hibari, folder: Path, **fields: Any) -> HeldItem:
    """Ask for a picture that is held, and return its item: for its prompt where that is German, else with its file."""
    values = {"prompt": "an octopus drifts to the left", "seed": 4, "seconds": 0, "steps": 1} | fields
    with pytest.raises(Held) as caught:
        maker.generate(GenerationRequest(**values), output=folder / "a.png")
    assert not (folder / "a.png").exists()
    word = next(word for word in caught.value.message.split() if word.startswith("hbr_"))
    item = maker.door.reviews.find(GenerationId.parse(word.rstrip(".")))
    assert item is not None and "hibari review list" in caught.value.hint
    return item


def shelf(desk: ReviewDesk) -> list[str]:
    folder = desk.settings.home / "held"
    return sorted(os.listdir(folder)) if folder.is_dir() else []


def parts_of(desk: ReviewDesk) -> tuple[Reviews, Ledger]:
    """The records, opened beside the desk."""
    store = Store.open(ledger_url(desk.settings))
    return Reviews(store), Ledger(store, desk.settings.home / INDEX)


def test_a_held_prompt_is_made_under_its_id(maker: Hibari, tmp_path: Path) -> None:
    item = hold(maker, tmp_path, prompt=GERMAN)
    assert (item.stage, item.file, item.request["prompt"]) == ("prompt", None, GERMAN)
    desk = ReviewDesk(replace(maker.settings, user="rita", policy=None))
    assert item.id in [each.id for each in desk.waiting()]
    released = desk.allow(item.id, "a fish in the sea", output=tmp_path / "b.png")
    assert os.listdir(tmp_path) == ["b.png"] and released.path == tmp_path / "b.png"
    assert released.record is not None and released.record.id == item.id
    assert (released.item.state, released.item.reviewer) == ("allowed", "rita")
    assert released.item.decision_reason == "a fish in the sea" and released.item.decided_at is not None
    answer = Verifier.open(maker.settings).verify(released.path)
    assert answer.made_here and answer.intact and answer.id == item.id
    assert answer.entry is not None and answer.entry.user == "ann", "it stays hers"
    assert ("prompt", "hold") in [(each.stage, each.action) for each in answer.entry.screenings]
    for again in (desk.allow, desk.refuse):
        with pytest.raises(InvalidRequest, match=r"was allowed by rita already, at .*: a fish in the sea"):
            again(item.id, "again")


def test_frames_of_an_allowed_prompt_are_held_like_any_others(maker: Hibari, desk: ReviewDesk, tmp_path: Path) -> None:
    item = hold(maker, tmp_path, prompt=GERMAN)
    with pytest.raises(Held, match=str(item.id)):
        desk.allow(item.id, "the words are harmless", output=tmp_path / "a.png")
    assert os.listdir(tmp_path) == []
    again = desk.find(item.id)
    assert (again.stage, again.state, again.file) == ("frames", "waiting", f"held/{item.id}.png")
    waited = desk.files.place(again.file).read_bytes()
    released = desk.allow(item.id, "so is the picture", output=tmp_path / "a.png")
    assert released.record is None and released.path.read_bytes() == waited
    assert shelf(desk) == []
    _, ledger = parts_of(desk)
    entry = ledger.find(item.id)
    assert entry is not None and entry.state == "delivered"
    assert hashlib.sha256(waited).hexdigest() == entry.delivery.file_sha256
    notes = [each["reason"] for each in ledger.export("rita")["decisions"] if each["id"] == str(item.id)]
    assert sorted(notes) == ["so is the picture", "the words are harmless"]


def test_frames_of_an_allowed_prompt_can_still_be_refused(maker: Hibari, tmp_path: Path) -> None:
    item = hold(maker, tmp_path, prompt=GERMAN)
    sections = SHIPPED.read_text().split("\n\n")
    strict = [one.replace("refuse = 0.95", "refuse = 0.0001") if "[frames." in one else one for one in sections]
    (tmp_path / "strict.toml").write_text("\n\n".join(strict).replace("hold = 0.8, refuse = 0.0001", "refuse = 0.0001"))
    desk = ReviewDesk(replace(maker.settings, user="rita", policy=tmp_path / "strict.toml"))
    with pytest.raises(Refused):
        desk.allow(item.id, "the words are harmless", output=tmp_path / "a.png")
    assert os.listdir(tmp_path) == ["strict.toml"]
    assert desk.find(item.id).state == "allowed", "the reviewer's word stands, and the screen's is beside it"
    _, ledger = parts_of(desk)
    assert ledger.find(item.id) is None
    said = [each["action"] for each in ledger.export("ann")["refusals"] if each["id"] == str(item.id)]
    assert said == ["hold", "refuse"]


def test_a_refused_file_is_deleted(maker: Hibari, desk: ReviewDesk, tmp_path: Path) -> None:
    item = hold(maker, tmp_path)
    assert shelf(desk) == [f"{item.id}.png"]
    assert desk.refuse(item.id, "no").state == "refused"
    assert shelf(desk) == []
    _, ledger = parts_of(desk)
    entry = ledger.find(item.id)
    assert entry is not None and entry.state == "refused"
    with pytest.raises(InvalidRequest, match="was refused by rita already"):
        desk.allow(item.id, "yes", output=tmp_path / "a.png")


def test_what_cannot_be_handed_over_goes_on_waiting(maker: Hibari, desk: ReviewDesk, tmp_path: Path) -> None:
    item = hold(maker, tmp_path)
    (tmp_path / "b.png").mkdir()
    for output, error in (("a.webp", InvalidRequest), ("b.png", OutputError), ("none/a.png", OutputError)):
        with pytest.raises(error) as caught:
            desk.allow(item.id, "fine", output=tmp_path / output)
        assert caught.value.option == "output"
    with pytest.raises(InvalidRequest, match="empty"):
        desk.allow(item.id, " ", output=tmp_path / "a.png")
    held = desk.files.place(item.file or "")
    signed = held.read_bytes()
    held.write_bytes(signed[:-1] + b"!")
    with pytest.raises(OutputError, match="not the file that was signed"):
        desk.allow(item.id, "fine", output=tmp_path / "a.png")
    assert desk.find(item.id).state == "waiting" and os.listdir(tmp_path) == ["b.png"]
    held.write_bytes(signed)
    assert desk.allow(item.id, "fine", output=tmp_path / "a.png").path.read_bytes() == signed


def test_a_crash_after_the_decision_loses_nothing(maker: Hibari, desk: ReviewDesk, tmp_path: Path) -> None:
    allowed, refused = hold(maker, tmp_path), hold(maker, tmp_path)
    reviews, ledger = parts_of(desk)
    reviews.decide(allowed.id, Ruling(decision="allowed", reviewer="rita", note="fine"))
    reviews.decide(refused.id, Ruling(decision="refused", reviewer="rita", note="no"))
    assert len(shelf(desk)) == 2, "neither decision has reached its file"
    released = desk.allow(allowed.id, "once more", output=tmp_path / "a.png")
    assert released.path.exists() and released.item.decision_reason == "fine", "it is handed over, not decided again"
    assert shelf(desk) == [], "and the refused one is gone with it"
    with pytest.raises(InvalidRequest, match="already"):
        desk.allow(allowed.id, "a third time", output=tmp_path / "b.png")
    assert HeldFiles(desk.settings.home).tidy(ledger) == 0


def test_an_allowed_request_waits_on_where_its_file_cannot_stand(maker: Hibari, tmp_path: Path) -> None:
    item, target = hold(maker, tmp_path, prompt=GERMAN), tmp_path / "b.png"
    desk = ReviewDesk(replace(maker.settings, user="rita", policy=None))

    def in_the_way(progress: Progress) -> None:
        if progress.stage == "sign" and not progress.done:
            target.mkdir()

    with pytest.raises(OutputError, match=r"b\.png cannot be written"):
        desk.allow(item.id, "a fish in the sea", output=target, on_progress=in_the_way)
    assert desk.find(item.id).state == "waiting" and parts_of(desk)[1].find(item.id) is None
    target.rmdir()
    assert desk.allow(item.id, "a fish in the sea", output=target).path == target


def test_what_a_kill_left_of_a_held_file_goes_after_a_day(maker: Hibari, desk: ReviewDesk, tmp_path: Path) -> None:
    item = hold(maker, tmp_path)
    held, left = desk.files.place(item.file or ""), [f".{GenerationId.new()}-aa.part", f"{GenerationId.new()}.png"]
    for name in left:
        (held.parent / name).touch()
    _, ledger = parts_of(desk)
    assert desk.files.tidy(ledger) == 0, "they may be on their way"
    long_ago = time.time() - ABANDONED_S - 60
    for path in held.parent.iterdir():
        os.utime(path, (long_ago, long_ago))
    desk.files.tidy(ledger)
    assert shelf(desk) == [held.name], "what is recorded waits as long as it takes"
    desk.refuse(item.id, "no")


def test_of_two_reviewers_at_once_one_decides(maker: Hibari, desk: ReviewDesk, tmp_path: Path) -> None:
    item = hold(maker, tmp_path)
    errors: list[HibariError] = []

    def work(name: str) -> None:
        try:
            ReviewDesk(desk.settings).allow(item.id, name, output=tmp_path / name)
        except HibariError as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(f"{number}.png",)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 2 and os.listdir(tmp_path) == [desk.find(item.id).decision_reason]


def test_an_erasure_takes_held_files(home: Path, tmp_path: Path) -> None:
    maker = Hibari(home=own_home(home, tmp_path / "home"), model="tiny", user="ann", policy=holding(tmp_path))
    item = hold(maker, tmp_path)
    (maker.settings.home / "held" / "notes.txt").write_text("not ours")
    files, ledger = HeldFiles(maker.settings.home), maker.door.ledger
    assert [each["file"] for each in ledger.export("ann")["held_items"]] == [item.file]
    done = ledger.erase("ann")
    assert files.place(item.file or "").exists(), "the records go first, and then the file"
    assert files.tidy(ledger) == 1, "also where a crash came between"
    assert files.remove(done.files) == 0
    assert os.listdir(maker.settings.home / "held") == ["notes.txt"]
    for elsewhere in ("held/../ledger.sqlite3", "ledger.sqlite3", "/etc/passwd", "held/", "held/.part"):
        with pytest.raises(HibariError):
            files.place(elsewhere)


def test_a_start_image_that_changed_since_is_not_what_was_held(maker: Hibari, desk: ReviewDesk, tmp_path: Path) -> None:
    Image.new("RGB", (96, 64), "orange").save(tmp_path / "start.png")
    item = hold(maker, tmp_path, prompt=GERMAN, image=tmp_path / "start.png", consent="nobody")
    assert item.request["image"] == str(tmp_path / "start.png") and item.request["consent"] == "nobody"
    Image.new("RGB", (96, 64), "blue").save(tmp_path / "start.png")
    with pytest.raises(InvalidRequest, match="gone or another"):
        desk.allow(item.id, "orange is fine", output=tmp_path / "a.png")
    assert desk.find(item.id).state == "waiting"


def test_others_see_and_decide_nothing(maker: Hibari, tmp_path: Path) -> None:
    item = hold(maker, tmp_path)
    ann, eve = (ReviewDesk(replace(maker.settings, user=name)) for name in ("ann", "eve"))
    assert item.id in [each.id for each in ann.waiting()] and eve.waiting() == []
    with pytest.raises(InvalidRequest, match="is not held"):
        eve.find(item.id)
    for decide in (ann.allow, ann.refuse):
        with pytest.raises(Refused, match=r"ann may not decide .*: ann is not a reviewer; those are rita"):
            decide(item.id, "mine")
    assert ann.find(item.id).state == "waiting"


@pytest.mark.parametrize(
    ("user", "owner", "reviewers", "granted", "says"),
    [
        ("rita", "ann", ("rita", "sam"), True, "a reviewer"),
        ("rita", "rita", ("rita", "sam"), False, "their own request"),
        ("rita", "rita", ("rita",), True, "the only reviewer"),
        ("rita", "rita", ("rita", "rita"), True, "the only reviewer"),
        ("ann", "rita", ("rita",), False, "not a reviewer"),
        (operator(), operator(), (), True, "runs this machine"),
        ("ann of elsewhere", "ann", (), False, "no reviewers are named"),
    ],
)
def test_who_may_decide(user: str, owner: str, reviewers: tuple[str, ...], granted: bool, says: str) -> None:
    answer = permission(user, owner, reviewers)
    assert answer.granted == granted and says in answer.reason
