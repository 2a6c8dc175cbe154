"""What is proven of a file and what is not: copies, foreign files, borrowed credentials. About 18 seconds."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from attacks import ATTACKS, Copy
from PIL import Image

import marked_house
from hibari.config import Settings
from hibari.errors import BadMedia
from hibari.media.encode import write_still, write_video
from hibari.provenance.credentials.read import CredentialFinding
from hibari.provenance.fingerprint import hashes_of
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import Ledger, Source
from hibari.provenance.places import INDEX, ledger_url
from hibari.provenance.verify import Verifier
from hibari.store import Store
from ledger_entries import entry
from marked_house import CLIP_ID, FPS, PICTURE_ID, House, credentials_onto

LONG = 600.0  # seconds that a search may take on a busy machine


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> House:
    return marked_house.build(tmp_path_factory.mktemp("house"))


@pytest.fixture(scope="module")
def verifier(house: House) -> Verifier:
    return Verifier.open(house.settings, look_seconds=LONG)


def test_what_left_the_house_is_known(house: House, verifier: Verifier) -> None:
    answer = verifier.verify(house.clip)
    assert (answer.made_here, answer.intact, answer.id) == (True, True, CLIP_ID)
    assert answer.rests_on == ("metadata", "watermark")
    assert answer.entry is not None and answer.entry.model == "tiny"
    values = answer.as_dict()
    assert values["techniques"]["fingerprint"]["id"] == str(CLIP_ID)
    assert values["techniques"]["watermark"]["keys_tried"] == 1
    assert [source["relationship"] for source in values["sources"]] == ["inputTo", "parentOf"]
    assert "a lark" not in str(values) and "'ann'" not in str(values), "no prompt and no name"


def recompressed(frames: np.ndarray, folder: Path) -> Path:
    copy = ATTACKS["crf28"](Copy(frames=frames, fps=FPS))
    write_video(folder / "copy.mp4", copy.frames, FPS)
    return folder / "copy.mp4"


def smaller(frames: np.ndarray, folder: Path) -> Path:
    copy = ATTACKS["three_quarters"](Copy(frames=frames, fps=FPS))
    write_video(folder / "copy.mp4", copy.frames, FPS)
    return folder / "copy.mp4"


def cut_and_mirrored(frames: np.ndarray, folder: Path) -> Path:
    copy = ATTACKS["crop"](Copy(frames=frames[:, :, ::-1], fps=FPS))
    write_video(folder / "copy.mp4", copy.frames, FPS)
    return folder / "copy.mp4"


def screenshot(frames: np.ndarray, folder: Path) -> Path:
    Image.fromarray(frames[4]).save(folder / "copy.jpg", quality=90)
    return folder / "copy.jpg"


def moving_gif(frames: np.ndarray, folder: Path) -> Path:
    pictures = [Image.fromarray(frame) for frame in frames]
    pictures[0].save(folder / "copy.gif", save_all=True, append_images=pictures[1:], duration=1000 // FPS)
    return folder / "copy.gif"


@pytest.mark.parametrize("copied", [recompressed, smaller, cut_and_mirrored, screenshot, moving_gif])
def test_a_copy_rests_on_its_watermark(
    house: House, verifier: Verifier, tmp_path: Path, copied: Callable[[np.ndarray, Path], Path]
) -> None:
    answer = verifier.verify(copied(house.marked, tmp_path))
    assert (answer.made_here, answer.intact, answer.id) == (True, False, CLIP_ID)
    assert answer.rests_on == ("watermark",)
    assert answer.watermark.flipped == (copied is cut_and_mirrored)
    assert not answer.metadata.found
    assert answer.recovered is not None and answer.recovered.authentic and answer.recovered.id == CLIP_ID


def test_what_may_look_unlike_its_record(house: House, verifier: Verifier, tmp_path: Path) -> None:
    """A mark on another picture is pointed out, but not where there is nothing to compare with."""
    whole = verifier.verify(recompressed(house.marked, tmp_path))
    assert whole.comparable and not whole.unlike
    other = marked_house.scene(8, len(house.marked)).astype(np.int16) + house.marked - house.plain
    write_video(tmp_path / "other.mp4", np.clip(other, 0, 255).astype(np.uint8), FPS)
    copied = verifier.verify(tmp_path / "other.mp4")
    assert copied.rests_on == ("watermark",) and copied.id == CLIP_ID and copied.unlike
    assert copied.as_dict()["techniques"]["fingerprint"]["unlike_its_record"] is True
    assert not replace(copied, comparable=False).unlike, "its hashes were left out, or erased"
    assert not replace(copied, info=replace(copied.info, kind="still")).unlike, "between two half seconds"


def test_what_is_left_of_a_file_is_enough(house: House, verifier: Verifier, tmp_path: Path) -> None:
    data = recompressed(house.marked, tmp_path).read_bytes()
    (tmp_path / "half.mp4").write_bytes(data[: len(data) * 15 // 16])
    answer = verifier.verify(tmp_path / "half.mp4")
    assert (answer.made_here, answer.intact, answer.id) == (True, False, CLIP_ID)
    assert answer.look.damage == "it begins well and is damaged further on."
    assert 0 < answer.look.clip_seconds < len(house.marked) / FPS
    write_video(tmp_path / "b.mp4", marked_house.scene(8, 12), FPS)
    data = (tmp_path / "b.mp4").read_bytes()
    (tmp_path / "b.mp4").write_bytes(data[: len(data) * 15 // 16])
    with pytest.raises(BadMedia, match="damaged further on"):
        verifier.verify(tmp_path / "b.mp4")


def test_a_foreign_file_is_nobodys(verifier: Verifier, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", marked_house.scene(8, 4)[:, ::2, ::2], FPS)
    answer = verifier.verify(tmp_path / "a.mp4")
    assert (answer.made_here, answer.intact, answer.id, answer.entry) == (False, False, None, None)
    assert answer.watermark.whole and answer.compared and not answer.resembles


def test_a_likeness_alone_proves_nothing(house: House, verifier: Verifier, tmp_path: Path) -> None:
    write_video(tmp_path / "a.mp4", house.plain[:, ::2, ::2], FPS)
    answer = verifier.verify(tmp_path / "a.mp4")
    assert (answer.made_here, answer.id, answer.entry) == (False, None, None)
    assert [one.id for one in answer.resembles] == [CLIP_ID]
    assert answer.as_dict()["techniques"]["fingerprint"]["id"] == str(CLIP_ID)


def test_borrowed_credentials_prove_nothing(house: House, verifier: Verifier, tmp_path: Path) -> None:
    write_still(tmp_path / "a.png", marked_house.scene(8, 1)[0, ::2, ::2], "PNG")
    credentials_onto(house.picture, tmp_path / "a.png")
    answer = verifier.verify(tmp_path / "a.png")
    assert answer.metadata.authentic and not answer.metadata.intact and answer.metadata.id == PICTURE_ID
    assert (answer.made_here, answer.intact, answer.id, answer.entry) == (False, False, None, None)
    assert answer.misfit and answer.recovered is None
    values = answer.as_dict()
    assert values["credentials_of_another_file"] and values["created_at"] is None and values["model"] is None


def test_credentials_that_do_not_fit_count_where_the_watermark_agrees(
    house: House, verifier: Verifier, tmp_path: Path
) -> None:
    write_still(tmp_path / "own.png", house.marked_picture[4:-4, 4:-4], "PNG")
    write_still(tmp_path / "other.png", house.marked[0], "PNG")
    for name, expected in (("own.png", PICTURE_ID), ("other.png", CLIP_ID)):
        credentials_onto(house.picture, tmp_path / name)
        answer = verifier.verify(tmp_path / name)
        assert answer.metadata.authentic and not answer.metadata.intact
        assert (answer.made_here, answer.intact, answer.id) == (True, False, expected)
        assert answer.rests_on == ("watermark",)
        assert answer.misfit == (name == "other.png"), "the picture's credentials are not the clip's"


def test_damaged_credentials_stop_nothing(house: House, verifier: Verifier, tmp_path: Path) -> None:
    write_still(tmp_path / "a.png", house.marked_picture, "PNG")
    credentials_onto(house.picture, tmp_path / "a.png", damaged=True)
    answer = verifier.verify(tmp_path / "a.png")
    assert answer.metadata.state == "unreadable" and answer.metadata.problems
    assert (answer.rests_on, answer.id) == (("watermark",), PICTURE_ID)


def test_an_ended_certificate_is_vouched_for_by_the_ledger(house: House, verifier: Verifier) -> None:
    ended = CredentialFinding(state="valid", found=True, intact=True, expired=True, id=PICTURE_ID)
    assert verifier._signed_id(house.picture, ended) == PICTURE_ID
    assert verifier._signed_id(house.clip, ended) is None, "another file under the same id"


def test_time_that_runs_out_is_said(house: House, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 64, 96, 3), np.uint8)
    write_video(tmp_path / "a.mp4", noise, FPS)
    with Verifier.open(house.settings, look_seconds=0.001) as hasty:
        answer = hasty.verify(tmp_path / "a.mp4")
    assert not answer.made_here and not answer.watermark.whole
    assert answer.look.cut and answer.look.clip_seconds < 1
    assert answer.as_dict()["techniques"]["watermark"]["stopped_early"] is True


def test_where_nothing_was_made_nothing_is_made(house: House, tmp_path: Path) -> None:
    for home in (tmp_path / "none", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with Verifier.open(Settings(home=home)) as verifier:
            answer = verifier.verify(house.clip)
        assert not answer.made_here and answer.look.keys == 0 and not answer.compared
        assert answer.metadata.intact and not answer.metadata.authentic, "a stranger's credentials"
    assert os.listdir(tmp_path) == ["empty"] and os.listdir(tmp_path / "empty") == []


def test_a_file_that_cannot_be_read(verifier: Verifier, tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("hello")
    Image.new("1", (9000, 9000)).save(tmp_path / "huge.png")
    for name, says in (("empty.mp4", "empty"), ("text.mp4", "damaged"), ("huge.png", "too large"), (".", "folder")):
        with pytest.raises(BadMedia, match=says):
            verifier.verify(tmp_path / name)


def test_the_stills_of_a_clip_are_no_findings_beside_it(house: House, tmp_path: Path) -> None:
    shows = Source(sha256="0" * 64, relationship="componentOf", mime="video/mp4", title="clip", own_id=CLIP_ID)
    like, still = hashes_of(house.plain, FPS), GenerationId(77)
    with Store.open(ledger_url(house.settings)) as store:
        Ledger(store, house.settings.home / INDEX).record(entry(still.value, sources=(shows,)), like)
    write_video(tmp_path / "a.mp4", house.plain[:, ::2, ::2], FPS)
    with Verifier.open(house.settings, look_seconds=LONG) as verifier:
        assert verifier.records is not None
        assert {one.id for one in verifier.records.index.search(like)} == {CLIP_ID, still}
        assert [one.id for one in verifier.verify(house.clip).resembles] == [CLIP_ID]
        assert len(verifier.verify(tmp_path / "a.mp4").resembles) == 1, "the likelier of both, where none is proven"
