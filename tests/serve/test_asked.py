"""What another release wrote into a row is read as far as it goes, by workers and reviewers. About 5 seconds."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest

from api_house import api
from hibari.access import Users
from hibari.errors import InvalidRequest
from hibari.provenance.ids import GenerationId
from hibari.provenance.ledger import HeldItem, Reviews
from hibari.serve.asked import Asked, CharacterUse, Source
from queue_jobs import NOON, add, taken

CHARACTER = CharacterUse(id="char_1", name="Pip", file="char_1/clip.mp4", consent="adults")
SOURCE = Source(id=None, video="video_1/in.mp4", latents=None, seconds=2, size="96x64", frames=24, fps=12)
TODAY = Asked(
    verb="edit", prompt="a panda", model="mini", seconds=2, seed=7, source=SOURCE, characters=(CHARACTER,)
).to_dict()
OLDER = {"verb": "create", "prompt": "a panda", "model": "mini", "seconds": 4, "size": "96x64"}  # the first release's


def test_a_document_comes_back_as_it_was() -> None:
    assert Asked.from_dict(TODAY).to_dict() == TODAY
    assert Asked.from_dict(TODAY).characters == (CHARACTER,) and Asked.from_dict(TODAY).source == SOURCE


def test_what_an_older_release_did_not_write_takes_its_default() -> None:
    read = Asked.from_dict(OLDER)
    assert read == Asked(verb="create", prompt="a panda", model="mini", seconds=4, size="96x64")
    assert Asked.from_dict(read.to_dict()) == read and len(read.to_dict()) == len(fields(Asked))


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"colour": "red"}, "colour"),
        ({"source": vars(SOURCE) | {"bits": 10}}, "bits"),
        ({"characters": [vars(CHARACTER) | {"voice": "low"}]}, "voice"),
        ({"source": {"id": None}}, "video"),
    ],
)
def test_what_this_release_does_not_know_is_not_left_out(changed: dict[str, Any], named: str) -> None:
    with pytest.raises(InvalidRequest, match=named) as caught:
        Asked.from_dict(TODAY | changed)
    assert caught.value.hint == "Ask for it again."


@pytest.mark.parametrize(
    ("document", "files"), [(OLDER | {"input": "a"}, ["held", "input"]), (OLDER | {"colour": "red"}, ["held"])]
)
def test_a_reviewer_reads_what_another_release_held(
    home: Path, tmp_path: Path, document: dict[str, Any], files: list[str]
) -> None:
    with api(home, tmp_path / "home") as house:
        service, id = house.service, GenerationId(7)
        Users(service.store).add("rita", "reviewer")
        house.keys["rita"], _ = service.keys.create("rita")
        add(service.queue)
        job = taken(service.queue)
        values: dict[str, Any] = {"stage": "frames", "request": {"prompt": "a panda"}, "categories": {}, "reason": "r"}
        Reviews(service.store).hold(
            HeldItem(id=id, created_at=NOON, user="ann", file="held.mp4", video=job.id, **values)
        )
        waits = {"files": {"held": "held.mp4"}, "request": document, "hours": 2}
        assert service.queue.hold(job, "it waits", generation_id=id.value, **waits)
        (listed,) = house.get("/v1/reviews", "rita").json()["data"]
        assert (listed["prompt"], listed["model"], listed["seconds"]) == ("a panda", None, None)
        one = house.get(f"/v1/reviews/{id}", "rita").json()
        assert one["files"] == files
        assert house.post(f"/v1/reviews/{id}/deny", "rita", json={"reason": "no"}).json()["status"] == "refused"
