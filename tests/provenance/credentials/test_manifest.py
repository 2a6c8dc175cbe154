"""What a manifest says, and what it does not; well under a second."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from hibari.provenance.credentials.manifest import (
    GENERATION,
    GENERATION_PARAMETER,
    TRAINED_ALGORITHMIC_MEDIA,
    Source,
    can_sign,
    definition,
    ingredient,
)

MP4 = "video/mp4"


def source(relationship: str, **more: Any) -> Source:
    return Source(content=Path("a.png"), mime="image/png", relationship=relationship, **more)  # type: ignore[arg-type]


def assertion(manifest: dict[str, Any], label: str) -> Any:
    [found] = [each["data"] for each in manifest["assertions"] if each["label"] == label]
    return found


def test_a_file_that_was_made(make_origin: Any) -> None:
    origin = make_origin(created_at=datetime(2026, 11, 22, 9, 30, tzinfo=UTC))
    manifest = definition(origin, MP4)
    assert all(each["created"] for each in manifest["assertions"]), "or the statements are not the signer's own"
    made, marked = assertion(manifest, "c2pa.actions.v2")["actions"]
    assert made == {
        "action": "c2pa.created",
        "digitalSourceType": TRAINED_ALGORITHMIC_MEDIA,
        "softwareAgent": {"name": "Hibari", "version": "0.1.0"},
        "when": "2026-11-22T09:30:00Z",
        "parameters": {GENERATION_PARAMETER: str(origin.id)},
    }
    assert marked["action"] == "c2pa.watermarked.bound"
    assert assertion(manifest, "c2pa.ai-disclosure")["modelIdentifier"] == "pkg:generic/hibari-mini@7"
    assert assertion(manifest, GENERATION)["marks"] == ["visible label"]
    [block] = assertion(manifest, "c2pa.soft-binding")["blocks"]
    assert int.from_bytes(bytes(block["value"]), "big") == origin.id.value
    assert block["scope"] == {"timespan": {"start": 0, "end": 1000}}


def test_a_still_without_a_watermark(make_origin: Any) -> None:
    manifest = definition(make_origin(watermark="", seconds=0.0), "image/png")
    assert [each["action"] for each in assertion(manifest, "c2pa.actions.v2")["actions"]] == ["c2pa.created"]
    assert "c2pa.soft-binding" not in {each["label"] for each in manifest["assertions"]}
    assert definition(make_origin(seconds=0.0), "image/png")["title"].endswith(".png")


def test_sources_stand_in_the_action_that_used_them(make_origin: Any) -> None:
    sources = (source("inputTo"), source("parentOf"), source("componentOf"), source("componentOf"), source("inputTo"))
    origin = make_origin(action="edited", sources=sources)
    actions = assertion(definition(origin, MP4), "c2pa.actions.v2")["actions"]
    named = [(each["action"], each.get("parameters", {}).get("ingredientIds", [])) for each in actions]
    assert named == [
        ("c2pa.opened", ["source-2"]),
        ("c2pa.edited", ["source-1", "source-5"]),
        ("c2pa.placed", ["source-3"]),
        ("c2pa.placed", ["source-4"]),
        ("c2pa.watermarked.bound", []),
    ]
    assert actions[1]["digitalSourceType"] == TRAINED_ALGORITHMIC_MEDIA
    assert [each["label"] for each in definition(origin, MP4, bare=[4, 1])["ingredients"]] == ["source-2", "source-5"]
    assert ingredient(origin, 2)["title"] == "component"
    assert ingredient(make_origin(sources=(source("inputTo", title="start image"),)), 0)["title"] == "start image"


@pytest.mark.parametrize(("action", "parents"), [("created", 1), ("edited", 0), ("edited", 2)])
def test_an_edited_file_has_one_parent(make_origin: Any, action: str, parents: int) -> None:
    with pytest.raises(AssertionError, match="one parent"):
        make_origin(action=action, sources=(source("parentOf"),) * parents)


def test_a_time_has_a_zone(make_origin: Any) -> None:
    with pytest.raises(AssertionError, match="zone"):
        make_origin(created_at=datetime(2026, 1, 1))  # noqa: DTZ001  # that is what is refused


def test_no_path_of_a_source_is_named(make_origin: Any, tmp_path: Any) -> None:
    path = tmp_path / "family of anna at home.png"
    origin = make_origin(sources=(Source(content=path, mime="image/png", relationship="inputTo"),))
    assert "anna" not in json.dumps([definition(origin, MP4, bare=[0]), ingredient(origin, 0)])


def test_the_types_that_are_signed() -> None:
    assert can_sign("video/mp4") and can_sign("image/png") and can_sign("image/webp")
    assert not can_sign("video/webm")
