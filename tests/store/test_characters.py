"""The rows of characters: pages that lose none made in one moment, and one key for one. Under a second."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from hibari.errors import InvalidRequest
from hibari.store import Store
from hibari.store.characters import Characters, NewCharacter
from queue_jobs import Hand


@pytest.fixture
def characters(store: Store) -> Characters:
    return Characters(store, clock=Hand())  # it stands still: all are made in one moment


def new(name: str = "Pip", user: str = "ann") -> NewCharacter:
    return NewCharacter(user=user, name=name, file=f"{name}/clip.mp4", consent={"people": "adults"})


def pages(characters: Characters, order: str) -> list[str]:
    """All ids of ann's, read two at a time."""
    ids, more = list[str](), True
    while more:
        after = ids[-1] if ids else None
        found, more = characters.list("ann", limit=2, after=after, order="asc" if order == "asc" else "desc")
        ids += [one.id for one in found]
    return ids


def test_pages_of_one_moment(characters: Characters) -> None:
    made = sorted(characters.add(new()).id for _ in range(5))
    other = characters.add(new(user="bob"))
    assert (pages(characters, "asc"), pages(characters, "desc")) == (made, made[::-1])
    with pytest.raises(InvalidRequest, match="No character of yours"):
        characters.list("ann", limit=1, after=other.id, order="asc")


def test_what_is_kept_comes_back(characters: Characters) -> None:
    made = characters.add(new())
    assert characters.find(made.id) == made and made.file == "Pip/clip.mp4"
    assert characters.owned("ann", [made.id, made.id, "char_x"]) == [made, made]
    assert characters.owned("bob", [made.id]) == []
    assert characters.remove(made.id) == made
    assert characters.remove(made.id) is None and characters.find(made.id) is None


def test_a_key_makes_one(characters: Characters) -> None:
    key = ("k", "a" * 64)
    assert characters.made_before("ann", key) is None
    made = characters.add(new(), key=key)
    assert characters.add(new(), key=key) == characters.made_before("ann", key) == made
    for asked in (characters.add, lambda _, key: characters.made_before("ann", key)):
        with pytest.raises(InvalidRequest, match="another request before"):
            asked(new(), key=("k", "b" * 64))
    assert characters.made_before("bob", key) is None
    characters.remove(made.id)
    assert characters.add(new(), key=("k", "b" * 64)).id != made.id


def test_many_at_once_make_one_of_a_key_and_no_more_than_there_may_be(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Postgres lets several count at once, unless they wait for each other."""
    monkeypatch.setattr("hibari.store.characters.MOST", 3)
    characters, key = Characters(store), ("k", "a" * 64)

    def tried(number: int) -> str | None:
        try:
            return characters.add(new(f"no. {number}")).id
        except InvalidRequest:
            return None

    with ThreadPoolExecutor(8) as threads:
        assert len({one.id for one in threads.map(lambda _: characters.add(new(user="bob"), key=key), range(8))}) == 1
        assert sum(id is not None for id in threads.map(tried, range(16))) == 3
