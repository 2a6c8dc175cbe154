"""Files appear whole or not at all, also on a full disk. Under a second."""

import errno
import os
import resource
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from hibari.errors import OutputError
from hibari.media.files import ABANDONED_S, beside, check_writable, output_error, placing, sweep


def test_a_file_takes_its_place_when_the_block_ends_well(tmp_path: Path) -> None:
    target = tmp_path / "a.mp4"
    target.write_text("old")
    with beside(target) as partial:
        partial.write_text("new")
        assert target.read_text() == "old"
    assert target.read_text() == "new"
    assert os.listdir(tmp_path) == ["a.mp4"]
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE(target.stat().st_mode) == 0o666 & ~umask


@pytest.mark.parametrize("end", [KeyboardInterrupt, ValueError, SystemExit])
def test_nothing_stays_when_the_block_does_not_end_well(tmp_path: Path, end: type[BaseException]) -> None:
    with pytest.raises(end), beside(tmp_path / "a.mp4") as partial:
        partial.write_text("half")
        raise end
    assert os.listdir(tmp_path) == []


def test_places_that_take_no_file(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for target in (tmp_path, tmp_path / "none" / "a.mp4", tmp_path / "file" / "a.mp4", Path("/proc/a.mp4")):
        with pytest.raises(OutputError) as caught:
            check_writable(target)
        assert caught.value.option == "output"
    check_writable(tmp_path / "a.mp4")
    assert os.listdir(tmp_path) == ["file"]


@contextmanager
def small_files() -> Iterator[None]:
    """Writing more than 4 kB to a file fails, as on a full disk: to any file, so not while pytest reports."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_no_room_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    with small_files(), pytest.raises(OutputError, match="no room") as caught, beside(tmp_path / "a.mp4") as partial:
        partial.write_bytes(b"x" * 10_000)
    assert "\n" not in str(caught.value)
    assert os.listdir(tmp_path) == []


def test_a_file_that_was_placed_goes_again_where_what_follows_fails(tmp_path: Path) -> None:
    target = tmp_path / "a.mp4"
    for end in (KeyboardInterrupt, ValueError):
        with pytest.raises(end), beside(target, keep=False) as partial, placing(partial, target) as place:
            place()
            assert os.listdir(tmp_path) == ["a.mp4"]
            raise end
        assert os.listdir(tmp_path) == []
    target.mkdir()
    with (
        pytest.raises(OutputError, match=r"a\.mp4 cannot be written"),
        beside(target, keep=False) as partial,
        placing(partial, target) as place,
    ):
        place()
    assert os.listdir(tmp_path) == ["a.mp4"]
    target.rmdir()
    with beside(target, keep=False) as partial, placing(partial, target) as place:
        partial.write_text("new")
        place()
    assert target.read_text() == "new" and os.listdir(tmp_path) == ["a.mp4"]


def test_what_a_killed_process_left_goes_after_a_day(tmp_path: Path) -> None:
    for name in (".old.part", ".new.part", "old.mp4"):
        (tmp_path / name).touch()
    long_ago = time.time() - ABANDONED_S - 60
    for name in (".old.part", "old.mp4"):
        os.utime(tmp_path / name, (long_ago, long_ago))
    sweep(tmp_path)
    sweep(tmp_path / "none")
    assert sorted(os.listdir(tmp_path)) == [".new.part", "old.mp4"]


def test_an_operating_systems_refusal_is_one_line() -> None:
    error = output_error(Path("a.mp4"), OSError(errno.EACCES, "Permission denied"))
    assert str(error) == "a.mp4 cannot be written (Permission denied). Choose another place."
