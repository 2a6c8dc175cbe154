"""The loop reads on a connection of its own: it waits for no pool and no writer, and its faults are 503s. 3 seconds."""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from api_house import Api, api, fault
from hibari.serve.api.guard import WRONG_KEYS_A_MINUTE
from hibari.store import tables
from queries import statements


@pytest.fixture
def house(home: Path, tmp_path: Path) -> Iterator[Api]:
    with api(home, tmp_path / "api") as opened:
        yield opened


def test_keys_are_looked_up_though_every_connection_is_held_and_another_process_writes(house: Api) -> None:
    """Whoever was looked up in the loop stood in one line with forty threads that waited for the lock."""
    made, pool = house.create()["id"], house.service.store.engine.pool
    house.service.keys.forget()
    with ExitStack() as held, closing(sqlite3.connect(house.service.store.name, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        for _ in range(15):
            held.enter_context(closing(house.service.store.engine.raw_connection()))
        assert "Connections in pool: 0" in pool.status() and "Checked out connections: 15" in pool.status()
        began = time.monotonic()
        assert house.service.keys.authenticate(house.keys["ann"]) is not None
        assert house.service.lookup is not None and house.service.lookup.video(made) is not None
        assert time.monotonic() - began < 2
        other.execute("ROLLBACK")


def test_a_network_that_guessed_too_often_is_not_looked_up_but_known_keys_are(house: Api) -> None:
    """Behind one proxy, somebody's guesses must not shut out who was let in before."""
    assert house.get("/v1/models").status_code == 200
    with statements(house.service.store.engine) as asked:
        for number in range(WRONG_KEYS_A_MINUTE):
            wrong = {"authorization": f"Bearer hk-{number}"}
            fault(house.get("/v1/models", None, headers=wrong), 401, "invalid_api_key")
        assert asked.count("SELECT") == WRONG_KEYS_A_MINUTE
        fault(house.get("/v1/models", None, headers=wrong), 429, "rate_limit_exceeded")
        fault(house.get("/v1/models", "bob"), 429, "rate_limit_exceeded")
        assert asked.count("SELECT") == WRONG_KEYS_A_MINUTE
    assert house.get("/v1/models").status_code == 200


def test_good_keys_are_no_guesses(house: Api) -> None:
    for _ in range(WRONG_KEYS_A_MINUTE + 5):
        house.service.keys.forget()
        assert house.get("/v1/models").status_code == 200


def test_what_was_revoked_elsewhere_is_seen(house: Api) -> None:
    keys = house.service.keys
    [record] = keys.list("bob")
    assert keys.authenticate(house.keys["bob"]) is not None
    keys.revoke(record.id)
    assert keys.authenticate(house.keys["bob"]) is None


def test_a_read_that_fails_is_a_503(house: Api) -> None:
    made = house.create()["id"]
    with house.service.store.writing() as connection:
        tables.videos.drop(connection)
    fault(house.get(f"/v1/videos/{made}"), 503, "server_error")
    with house.service.store.writing() as connection:
        tables.api_keys.drop(connection)
    house.service.keys.forget()
    fault(house.get(f"/v1/videos/{made}"), 503, "server_error")
