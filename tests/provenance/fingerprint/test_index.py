"""The index: exact against the table, never behind it, quick to come back. About 5 seconds; 8 with --slow."""

from pathlib import Path

import numpy as np
import pytest

from hibari.errors import OutputError
from hibari.provenance.fingerprint import FingerprintIndex, FrameHash, Resemblance, hashes_of, index, saved
from hibari.provenance.fingerprint.rows import NO_HASHES, State
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import Ledger
from hibari.shapes import VideoShape
from hibari.store import Store
from hibari.worlds import World
from ledger_entries import entry

FPS = 12
RNG = np.random.default_rng(5)


def clip(seed: int) -> np.ndarray:
    return World().scene(seed, VideoShape(37, 96, 160), FPS).render()


def random_hashes(count: int, left_out: str = "") -> list[FrameHash]:
    return [
        FrameHash(seconds=0.5 * n, bits=RNG.bytes(32), mirrored=RNG.bytes(32), quality=90, left_out=left_out)
        for n in range(count)
    ]


def near(one: FrameHash, bits: int, seconds: float | None = None) -> FrameHash:
    """A hash at a distance of `bits` from another."""
    flips = np.zeros(256, np.uint8)
    flips[RNG.choice(256, bits, replace=False)] = 1
    changed = (np.frombuffer(one.bits, np.uint8) ^ np.packbits(flips)).tobytes()
    return FrameHash(
        seconds=one.seconds if seconds is None else seconds, bits=changed, mirrored=RNG.bytes(32), quality=90
    )


def record(store: Store, number: int, hashes: list[FrameHash], user: str = "ann") -> None:
    Ledger(store).record(entry(number, user=user), hashes)


def found(results: list[Resemblance]) -> list[tuple[int, int]]:
    return [(each.id.value, each.votes) for each in results]


def test_a_clip_is_found_by_its_moments(store: Store) -> None:
    clips = {seed: clip(seed) for seed in (1, 2, 3)}
    for seed, frames in clips.items():
        record(store, seed, hashes_of(frames, FPS))
    every = FingerprintIndex.open(store)
    (whole,) = every.search(hashes_of(clips[2], FPS))
    assert whole == Resemblance(id=GenerationId(2), votes=7, asked=7, distance=0.0, offset_s=0.0, mirrored=False)
    (trimmed,) = every.search(hashes_of(clips[3][12:], FPS))
    assert (trimmed.id, trimmed.votes, trimmed.asked, trimmed.offset_s) == (GenerationId(3), 5, 5, 1.0)
    (turned,) = every.search(hashes_of(clips[1][:, :, ::-1], FPS))
    assert (turned.id.value, turned.votes, turned.mirrored) == (1, 7, True)
    (still,) = every.search(hashes_of(clips[1][18:19], 1))
    assert (still.id.value, still.votes, still.asked, still.offset_s) == (1, 1, 1, 1.5)
    assert every.search(hashes_of(clip(9), FPS)) == []
    assert every.search([]) == []


def test_distance_ends_at_31(store: Store) -> None:
    hashes = random_hashes(3)
    record(store, 1, hashes)
    every = FingerprintIndex.open(store)
    assert found(every.search([near(each, 31) for each in hashes])) == [(1, 3)]
    assert every.search([near(each, 32) for each in hashes]) == []


def test_votes_agree_on_an_offset(store: Store) -> None:
    hashes = random_hashes(12)
    record(store, 1, hashes)
    every = FingerprintIndex.open(store)
    shuffled = [near(hashes[n], 4, seconds) for n, seconds in ((0, 0.0), (9, 0.5), (3, 1.0), (11, 1.5))]
    assert every.search(shuffled) == [], "four frames, each alike, in another order"
    late = [near(hashes[n], 4, 0.5 * n - 1.75) for n in range(4, 9)]
    (one,) = every.search(late)
    assert (one.votes, one.asked, one.distance, one.offset_s) == (5, 5, 4.0, 1.75)
    two = every.search([*late[:2], *random_hashes(3)])
    assert two == [], "two votes of five seconds are too few"
    assert found(every.search(late[:2])) == [(1, 2)], "all that the clip has"


def test_a_picture_needs_one_vote_and_the_most_votes_come_first(store: Store) -> None:
    hashes = random_hashes(4)
    record(store, 1, hashes[:1])
    record(store, 2, hashes)
    record(store, 3, [near(each, 9) for each in hashes])
    results = FingerprintIndex.open(store).search(hashes)
    assert found(results) == [(2, 4), (3, 4), (1, 1)]
    assert found(FingerprintIndex.open(store).search(hashes, limit=1)) == [(2, 4)]


def test_what_is_left_out_takes_no_part(store: Store) -> None:
    for number, reason in ((1, "quality"), (2, "source")):
        hashes = random_hashes(4, reason)
        record(store, number, hashes)
        every = FingerprintIndex.open(store)
        assert len(every) == 0 and every.search([near(each, 0) for each in hashes]) == []
    hashes = random_hashes(4)
    record(store, 3, hashes)
    assert FingerprintIndex.open(store).search(random_hashes(4, "quality")) == []


def test_it_agrees_with_a_plain_comparison(store: Store) -> None:
    hashes = random_hashes(60)
    for number in range(20):
        record(store, number, hashes[3 * number : 3 * number + 3])
    every = FingerprintIndex.open(store)
    for _ in range(40):
        asked = near(hashes[RNG.integers(60)], int(RNG.integers(20, 40)), 0.0)
        bits = np.frombuffer(asked.bits, np.uint8)
        distances = [int(np.bitwise_count(bits ^ np.frombuffer(each.bits, np.uint8)).sum()) for each in hashes]
        expected = {place // 3 for place, distance in enumerate(distances) if distance <= 31}
        assert {each.id.value for each in every.search([asked], limit=60)} == expected


def test_it_is_never_behind_the_table(store: Store) -> None:
    every = FingerprintIndex.open(store)
    first, second = random_hashes(3), random_hashes(3)
    record(store, 1, first)
    assert found(every.search(first)) == [(1, 3)]
    record(store, 2, second, user="bob")
    assert found(every.search(second)) == [(2, 3)] and len(every) == 6
    Ledger(store).erase("ann")
    assert every.search(first) == [] and found(every.search(second)) == [(2, 3)] and len(every) == 3


def test_a_saved_index_comes_back(store: Store, tmp_path: Path) -> None:
    file, hashes = tmp_path / "index.npz", random_hashes(4)
    record(store, 1, hashes)
    FingerprintIndex.open(store, file)
    kept = saved.load(file)
    assert kept is not None and kept[1].next_id == 4 and len(kept[0].generations) == 4
    record(store, 2, random_hashes(2))
    again = FingerprintIndex.open(store, file)
    assert len(again) == 6 and found(again.search(hashes)) == [(1, 4)]
    before = file.read_bytes()
    FingerprintIndex.open(store, file)
    assert file.read_bytes() == before, "a few new rows are read again rather than all written"


def test_much_that_is_new_is_saved(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "SAVE_AFTER", 3)
    file = tmp_path / "index.npz"
    every = FingerprintIndex.open(store, file)
    for number, rows in ((1, 2), (2, 4)):
        record(store, number, random_hashes(2))
        every.refresh()
        kept = saved.load(file)
        assert kept is not None and kept[1].next_id == (0 if rows == 2 else 4)


@pytest.mark.parametrize("damage", ["cut", "flip", "other form", "nothing"])
def test_a_damaged_file_is_made_anew(store: Store, tmp_path: Path, damage: str) -> None:
    file, hashes = tmp_path / "index.npz", random_hashes(40)
    record(store, 1, hashes)
    FingerprintIndex.open(store, file)
    data = bytearray(file.read_bytes())
    if damage == "flip":
        data[data.index(hashes[7].bits)] ^= 1
    file.write_bytes({"cut": data[:-400], "other form": b"\x93NUMPY", "nothing": b""}.get(damage, data))
    assert saved.load(file) is None
    assert found(FingerprintIndex.open(store, file).search(hashes)) == [(1, 40)]
    assert saved.load(file) is not None


def test_a_file_of_another_past_is_thrown_away(tmp_path: Path) -> None:
    """Two databases with the same number of rows, and one put back from a backup: the last row gives them away."""
    file, hashes = tmp_path / "index.npz", random_hashes(9)
    with Store.open(tmp_path / "a.db") as store:
        record(store, 1, hashes[:3])
        store.scrub()
        backup = (tmp_path / "a.db").read_bytes()
        record(store, 2, hashes[3:6])
        FingerprintIndex.open(store, file)
    (tmp_path / "b.db").write_bytes(backup)
    with Store.open(tmp_path / "b.db") as store:
        early = FingerprintIndex.open(store, file)
        assert len(early) == 3 and early.search(hashes[3:6]) == []
        FingerprintIndex.open(store, file)
    file.unlink()
    with Store.open(tmp_path / "a.db") as store:
        FingerprintIndex.open(store, file)
    with Store.open(tmp_path / "b.db") as store:
        record(store, 3, hashes[6:])
        later = FingerprintIndex.open(store, file)
        assert later.search(hashes[3:6]) == [] and found(later.search(hashes[6:])) == [(3, 3)]
    with Store.open(tmp_path / "c.db") as store:
        for number in (1, 2):
            record(store, number, random_hashes(3))
        assert FingerprintIndex.open(store, file).search(hashes[:3]) == []


def test_no_room_for_the_file(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be written"):
        saved.save(tmp_path / "none" / "index.npz", NO_HASHES, State(next_id=0, erasure=1))
    assert not list(tmp_path.iterdir())
