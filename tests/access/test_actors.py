"""Users are made, changed and shut out; who signs in elsewhere takes over nobody. About 1 second."""

from typing import Any

import pytest
from sqlalchemy import Connection

from hibari.access import User, UserLimits, Users
from hibari.access.actors import ELSEWHERE
from hibari.errors import InvalidRequest
from hibari.store import Store


def nothing(_: Connection, __: User) -> None:
    """Nobody is told."""


def test_a_user_from_the_first_day_to_the_last(store: Store) -> None:
    users = Users(store)
    ann = users.add("ann", "creator")
    assert (ann.role, ann.disabled, ann.limits) == ("creator", False, UserLimits())
    users.add("bob", "viewer")
    assert [user.name for user in users.list()] == ["ann", "bob"]
    assert users.set_role("ann", "admin").role == "admin"
    assert users.disable("ann").disabled and not users.enable("ann").disabled
    limits = UserLimits(seconds_a_day=12.5, jobs_at_once=2, priority=3)
    assert users.set_limits("ann", limits).limits == limits
    found = users.find("ann")
    assert found is not None and found.limits == limits and found.role == "admin"
    assert users.set_limits("ann", UserLimits()).limits == UserLimits(), "the service's hold again"
    bob = users.find("bob")
    assert bob is not None and (bob.role, bob.limits) == ("viewer", UserLimits()), "others stay as they were"
    assert users.find("eve") is None


def test_ensure_makes_a_user_once_and_changes_nobody(store: Store) -> None:
    users = Users(store)
    made = users.ensure("ann", "creator")
    assert users.ensure("ann", "creator") == users.ensure("ann", None) == made
    with pytest.raises(InvalidRequest, match=r"ann is creator, not admin\. `hibari users role ann admin`"):
        users.ensure("ann", "admin")
    with pytest.raises(InvalidRequest, match="bob is a new user"):
        users.ensure("bob", None)
    assert [user.name for user in users.list()] == ["ann"]


@pytest.mark.parametrize("name", ["", "a b", "-ann", "oidc:ann", "local:ann", "../ann", "a" * 65, "ann\n", "änn"])
def test_names_that_are_none(store: Store, name: str) -> None:
    for make in (Users(store).add, Users(store).ensure):
        with pytest.raises(InvalidRequest, match="is no name for a user"):
            make(name, "viewer")


def test_bad_values_are_said(store: Store) -> None:
    users = Users(store)
    users.add("ann", "viewer")
    with pytest.raises(InvalidRequest, match="ann is a user already"):
        users.add("ann", "admin")
    for change in (lambda: users.add("bob", "king"), lambda: users.set_role("ann", "stranger")):
        with pytest.raises(InvalidRequest, match=r"is not a role\. Allowed: admin, creator"):
            change()
    with pytest.raises(InvalidRequest, match="'eve' is no user here"):
        users.disable("eve")


@pytest.mark.parametrize(
    "wrong",
    [
        {"seconds_a_day": -1.0},
        {"seconds_a_day": float("nan")},
        {"seconds_a_day": float("inf")},
        {"jobs_at_once": -1},
        {"priority": 101},
    ],
)
def test_limits_that_are_none(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidRequest):
        UserLimits(**wrong)


def test_who_signs_in_elsewhere_is_one_user_and_takes_over_nobody(store: Store) -> None:
    users, told = Users(store), []

    def note(_: Connection, user: User) -> None:
        told.append((user.name, user.role))

    users.add("ann", "admin")
    first = users.sign_in("https://idp 1", "ann", None, note)
    assert (first.name, first.role, first.subject) == (ELSEWHERE + "ann", "viewer", "https://idp 1")
    assert users.sign_in("https://idp 1", "ann", None, note) == first, "the same person"
    other = users.sign_in("https://idp 2", "ann", None, note)
    assert other.name.startswith(ELSEWHERE) and other.name != first.name, "another of the same name"
    odd = users.sign_in("https://idp 3", "an n/../", "creator", note)
    assert odd.role == "creator" and "/" not in odd.name
    assert users.sign_in("https://idp 1", "anna", "auditor", note).name == first.name, "a new name is the same person"
    assert told == [(first.name, "viewer"), (other.name, "viewer"), (odd.name, "creator"), (first.name, "auditor")]
    local = users.find("ann")
    assert local is not None and (local.role, local.subject) == ("admin", None)


def test_a_sign_in_that_cannot_be_noted_makes_nobody(store: Store) -> None:
    def refuse(_: Connection, __: User) -> None:
        raise InvalidRequest("no room in the log")

    with pytest.raises(InvalidRequest, match="no room"):
        Users(store).sign_in("https://idp 1", "ann", None, refuse)
    assert Users(store).list() == []
    assert Users(store).sign_in("https://idp 1", "ann", None, nothing).role == "viewer"
