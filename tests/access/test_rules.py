"""Everything that no rule allows is denied, with the reason. Under a second."""

import pytest

from hibari.access import ACTIONS, ROLES, STRANGER, Action, Actor, Resource, Role, decide
from hibari.access.rules import RULES

ALL = set(ACTIONS)
OWN: dict[Role, set[Action]] = {  # what each may do with what is theirs
    "admin": ALL,
    "creator": ALL - {"user.manage", "review.decide", "audit.read", "metrics.read"},
    "viewer": {"video.read", "video.list", "character.read", "character.list", "model.list", "provenance.check"},
    "reviewer": {"review.decide", "model.list", "provenance.check"},
    "auditor": {"audit.read", "metrics.read", "model.list", "provenance.check"},
}
NOBODYS: set[Action] = {"model.list", "provenance.check", "audit.read", "metrics.read", "user.manage", "review.decide"}


def may(actor: Actor, owner: str | None) -> set[Action]:
    return {action for action in ACTIONS if decide(actor, action, Resource(kind="video", owner=owner)).allowed}


@pytest.mark.parametrize("role", ROLES)
def test_what_each_role_may(role: Role) -> None:
    ann = Actor(user="ann", role=role)
    assert may(ann, "ann") == OWN[role]
    anothers = may(ann, "bob")
    seen: set[Action] = {"video.read", "video.list", "video.delete"}
    seen |= {"character.read", "character.list", "character.delete"}
    assert anothers == OWN[role] & (NOBODYS | (seen if role == "admin" else set()))


def test_nothing_is_done_in_anothers_name() -> None:
    bobs = Resource(kind="video", owner="bob")
    for action in ("video.create", "video.extend", "character.create", "webhook.manage", "image.create"):
        assert not decide(Actor(user="ann", role="admin"), action, bobs).allowed


def test_what_needs_an_owner_is_denied_without_one() -> None:
    creator = Actor(user="ann", role="creator")
    for action in ("video.read", "video.list", "video.delete", "video.extend", "character.read", "webhook.manage"):
        assert "this has none" in decide(creator, action, Resource(kind="video")).reason
    assert decide(creator, "video.create", Resource(kind="video")).allowed
    assert decide(Actor(user="eve", role="admin"), "video.list", Resource(kind="video")).allowed, "everyone's"


def test_a_stranger_may_ask_where_a_file_is_from_and_no_more() -> None:
    assert may(STRANGER, None) == may(STRANGER, STRANGER.user) == {"provenance.check"}


def test_a_key_does_no_more_than_its_scopes_and_its_role() -> None:
    scoped = Actor(user="ann", role="viewer", scopes=frozenset({"video.read", "video.create"}))
    assert may(scoped, "ann") == {"video.read"}
    assert may(Actor(user="ann", role="admin", scopes=frozenset()), "ann") == set()
    decision = decide(scoped, "video.list", Resource(kind="video", owner="ann"))
    assert decision.reason == "the key is not for video.list"


def test_a_role_that_is_none_has_no_right() -> None:
    king = Actor(user="ann", role="king")  # type: ignore[arg-type]
    assert may(king, "ann") == may(king, None) == set()
    assert set(RULES) == {*ROLES, "stranger"}


def test_a_no_is_in_words() -> None:
    creator, reviews = Actor(user="ann", role="creator"), Resource(kind="review")
    assert decide(creator, "review.decide", reviews).reason == "a creator may not decide reviews"
    auditor = Actor(user="al", role="auditor")
    said = {decide(auditor, action, reviews) for action in ACTIONS}
    assert "an auditor may not see videos" in {one.reason for one in said}
    assert not any("." in one.reason for one in said if not one.allowed), "no action's own name"


def test_what_is_anothers_is_hidden_from_all_but_admins() -> None:
    bobs = Resource(kind="video", owner="bob", id="video_1")
    for role in ROLES:
        decision = decide(Actor(user="ann", role=role), "video.extend", bobs)
        assert not decision.allowed and decision.reason
        assert decision.hidden == (role != "admin"), "who may not know of it hears 'not found', whatever they lack"
    own = decide(Actor(user="ann", role="viewer"), "video.delete", Resource(kind="video", owner="ann"))
    assert not own.allowed and not own.hidden and own.reason == "a viewer may not delete videos"
    assert str(bobs) == "video/video_1" and str(Resource(kind="model")) == "model"
