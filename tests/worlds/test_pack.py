"""The sprite pack: the starter that ships, subsets, and broken folders. About 2 seconds."""

from pathlib import Path

import numpy as np
import pytest

from hibari.errors import HibariError, MissingDependency
from hibari.worlds.pack import CELL, MARGIN, SpritePack, decode, encode
from hibari.worlds.vocabulary import STARTER_OBJECTS


def test_the_starter_holds_the_starter_vocabulary_and_its_notice() -> None:
    pack = SpritePack.load()
    assert pack.names == STARTER_OBJECTS
    assert "octopus" in pack.names
    notice = (pack.folder / "NOTICE.txt").read_text(encoding="utf-8")
    assert "Copyright (c) Microsoft Corporation" in notice and "MIT License" in notice


def test_sprites_are_premultiplied_animations_with_a_margin() -> None:
    sprite = SpritePack.load().sprite("octopus")
    assert sprite.num_frames > 12 and max(sprite.size) == CELL
    assert (sprite.strip[..., :3] <= sprite.strip[..., 3:]).all()
    inner = sprite.strip[:, MARGIN:-MARGIN, MARGIN:-MARGIN, 3]
    assert sprite.strip[..., 3].sum() == inner.sum() and inner.mean() > 60
    assert np.abs(np.diff(sprite.strip.astype(int), axis=0)).max() > 50, "it moves"
    assert sprite.frames[0].mode == "RGBa"


def test_a_subset_is_the_same_bytes(tmp_path: Path) -> None:
    pack = SpritePack.load()
    mini = pack.export(["panda", "crab"], tmp_path / "mini")
    assert mini.names == ("panda", "crab")
    assert (mini.sprite("crab").strip == pack.sprite("crab").strip).all()
    assert (tmp_path / "mini" / "NOTICE.txt").exists()


def test_strips_come_back_as_they_went_in() -> None:
    frames = SpritePack.load().sprite("red heart").frames[:3]
    again = decode(encode([frame.convert("RGBA") for frame in frames]), 3)
    first = again[:, MARGIN:-MARGIN, MARGIN:-MARGIN].astype(float)
    assert np.abs(first - np.stack([np.asarray(frame) for frame in frames])).mean() < 3


def test_broken_packs_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(MissingDependency, match="hibari worlds build"):
        SpritePack.load(tmp_path)
    mini = SpritePack.load().export(["panda"], tmp_path)
    with pytest.raises(HibariError, match="unicorn"):
        mini.sprite("unicorn")
    strips = tmp_path / "sprites.bin"
    strips.write_bytes(strips.read_bytes()[:-1])
    with pytest.raises(HibariError, match="truncated"):
        SpritePack.load(tmp_path)
    (tmp_path / "index.json").write_text('{"format": 99, "sprites": []}', encoding="utf-8")
    with pytest.raises(HibariError, match="format 99"):
        SpritePack.load(tmp_path)
    (tmp_path / "index.json").write_text("{", encoding="utf-8")
    with pytest.raises(HibariError, match="cannot be read"):
        SpritePack.load(tmp_path)
