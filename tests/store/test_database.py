"""Opening, locking, and what stands in the way, in clear words. About 3 seconds."""

import sqlite3
import stat
import threading
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import event, select, text

from databases import KINDS, new_database, postgres
from hibari.errors import HibariError, InvalidRequest, OutputError
from hibari.store import Store, StoreError, database, schema, tables

__all__ = ["postgres"]
ROW = {
    "generation_id": 1,
    "created_at": "2026-11-22",
    "stage": "prompt",
    "action": "allow",
    "categories": "{}",
    "reason": "",
    "advice": "",
}
INSERT = f"INSERT INTO verdicts ({', '.join(ROW)}) VALUES ({', '.join(f':{name}' for name in ROW)})"


def count(store: Store) -> int:
    with store.reading() as connection:
        return len(connection.execute(select(tables.verdicts.c.id)).all())


@pytest.mark.parametrize("kind", KINDS)
def test_the_migrations_make_the_tables_of_the_code(kind: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    address = tmp_path / "a.db" if kind == "sqlite" else new_database(request.getfixturevalue("postgres"))
    with Store.open(address) as store, store.reading() as connection:
        options = {"compare_type": True, "version_table": schema.VERSION_TABLE}
        assert not compare_metadata(MigrationContext.configure(connection, opts=options), tables.METADATA)
        assert connection.execute(text(f"SELECT version_num FROM {schema.VERSION_TABLE}")).scalar() == schema.newest()
        assert connection.execute(select(tables.fingerprint_state.c.next_id)).all() == [(0,)]


def test_the_file_is_its_owners_alone_and_logs_ahead(tmp_path: Path) -> None:
    with Store.open(f"sqlite:///{tmp_path}/a.db") as store, store.writing() as connection:
        connection.execute(text(INSERT), ROW)
        for name in ("a.db", "a.db-wal", "a.db-shm"):
            assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600
        pragmas = {"journal_mode": "wal", "foreign_keys": 1, "secure_delete": 1, "synchronous": 2}
        for name, value in pragmas.items():
            assert connection.exec_driver_sql(f"PRAGMA {name}").scalar() == value


def test_what_raises_leaves_nothing(tmp_path: Path) -> None:
    with Store.open(tmp_path / "a.db") as store:
        with pytest.raises(ZeroDivisionError), store.writing() as connection:
            connection.execute(text(INSERT), ROW)
            raise ZeroDivisionError
        assert count(store) == 0


def test_several_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    failures: list[Exception] = []

    def work(number: int) -> None:
        try:
            with Store.open(tmp_path / "a.db", timeout_s=60) as store, store.writing() as connection:
                connection.execute(text(INSERT), ROW | {"generation_id": number})
        except Exception as error:  # noqa: BLE001  # whatever it is, the test shows it
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    with Store.open(tmp_path / "a.db") as store:
        assert count(store) == 4


def test_whoever_makes_a_new_file_at_the_same_time_is_waited_for(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "a.db", isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # without a write-ahead log yet
    release = threading.Timer(0.3, lambda: other.execute("ROLLBACK"))
    release.start()
    with Store.open(tmp_path / "a.db", timeout_s=20):
        release.join()
    other.close()


def test_a_reader_sees_one_state_and_stops_no_writer(tmp_path: Path) -> None:
    with Store.open(tmp_path / "a.db") as store, store.reading() as reader:
        query = select(tables.verdicts.c.id)
        assert not reader.execute(query).all()
        with store.writing() as writer:
            writer.execute(text(INSERT), ROW)
        assert not reader.execute(query).all()
        assert count(store) == 1


def test_locked(tmp_path: Path) -> None:
    with Store.open(tmp_path / "a.db", timeout_s=0.05) as store:
        other = sqlite3.connect(tmp_path / "a.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match=r"a\.db: another process holds it locked\. Try again"), store.writing():
            pass
        assert count(store) == 0, "reading goes on"
        other.close()
        with store.writing() as connection:
            connection.execute(text(INSERT), ROW)


def test_full_disk(tmp_path: Path) -> None:
    with Store.open(tmp_path / "a.db") as store:
        pages = sqlite3.connect(tmp_path / "a.db").execute("PRAGMA page_count").fetchone()[0]
        store.close()
        event.listen(store.engine, "connect", lambda driver, _: driver.execute(f"PRAGMA max_page_count = {pages + 2}"))
        with pytest.raises(StoreError, match="the disk is full"), store.writing() as connection:
            connection.execute(text(INSERT), ROW)
            connection.execute(text(INSERT), ROW | {"reason": "x" * 100_000})
        assert count(store) == 0, "not even the first row"


@pytest.mark.parametrize("damage", ["header", "pages", "empty"])
def test_a_damaged_file(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.db"
    Store.open(path).close()
    data = bytearray(path.read_bytes())
    if damage == "header":
        data[:16] = b"not a database.."
    elif damage == "pages":
        data[4096:] = b"\xa5" * (len(data) - 4096)
    path.write_bytes(data if damage != "empty" else b"\x89PNG\r\n")
    with pytest.raises(StoreError, match="damaged") as caught:
        Store.open(path)
    assert "Restore it from a backup" in caught.value.hint


def test_the_last_steps_file_is_named_by_its_revision() -> None:
    assert schema.newest() == ScriptDirectory(str(schema.FOLDER)).get_current_head()


def test_a_newer_schema(tmp_path: Path) -> None:
    with Store.open(tmp_path / "a.db") as store, store.writing() as connection:
        connection.execute(text(f"UPDATE {schema.VERSION_TABLE} SET version_num = '9999'"))
    with pytest.raises(
        StoreError, match=rf"a newer Hibari \(schema 9999, known up to {schema.newest()}\)\. Update Hibari"
    ):
        Store.open(tmp_path / "a.db")


def test_another_programs_database(tmp_path: Path) -> None:
    other = sqlite3.connect(tmp_path / "a.db")
    other.execute("CREATE TABLE generations (mine TEXT)")
    other.close()
    with pytest.raises(StoreError, match="another program's tables"):
        Store.open(tmp_path / "a.db")


def test_without_migrating(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no such database"):
        Store.open(tmp_path / "a.db", migrate=False)
    assert not list(tmp_path.iterdir())
    (tmp_path / "a.db").touch()
    with pytest.raises(StoreError, match="missing or old"):
        Store.open(tmp_path / "a.db", migrate=False)
    Store.open(tmp_path / "a.db").close()
    Store.open(tmp_path / "a.db", migrate=False).close()


def test_no_folder(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="cannot be opened"):
        Store.open(tmp_path / "none" / "a.db")


@pytest.mark.parametrize("url", ["mysql://root:secret@host/db", "sqlite://", "secret words", "sqlite:///:memory:"])
def test_urls_that_name_no_database(url: str) -> None:
    with pytest.raises(InvalidRequest, match="names no database") as caught:
        Store.open(url)
    assert "root:secret" not in str(caught.value)


def test_a_server_that_is_not_there_keeps_its_password_to_itself() -> None:
    with pytest.raises(StoreError, match="cannot be reached") as caught:
        Store.open("postgresql://app:hidden@127.0.0.1:9/none", timeout_s=2)
    assert "hidden" not in str(caught.value)


@pytest.mark.slow
def test_a_postgres_that_says_nothing_is_no_wait_without_end(postgres: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_STATEMENT_S", 0.2)
    with Store.open(new_database(postgres), timeout_s=0.1) as store:
        with pytest.raises(StoreError, match="cancelled"), store.reading() as connection:
            connection.execute(text("SELECT pg_sleep(30)"))
        with store.reading() as connection:
            driver = connection.connection.driver_connection
            assert driver is not None
            given = driver.info.get_parameters()
    assert given["tcp_user_timeout"] == "2000" and given["keepalives_idle"] == "2", given


@pytest.mark.slow
def test_a_locked_postgres(postgres: str) -> None:
    url = new_database(postgres)
    with Store.open(url, timeout_s=0.1) as store, Store.open(url) as other, other.writing() as holder:
        holder.execute(text("LOCK TABLE verdicts IN ACCESS EXCLUSIVE MODE"))
        with pytest.raises(HibariError, match="another process holds it locked"), store.writing() as connection:
            connection.execute(text(INSERT), ROW)
