"""What the outbox sends is what OpenAI's client accepts, and what is not heard is sent again. 4 seconds."""

import asyncio
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from openai import InvalidWebhookSignatureError, OpenAI
from sqlalchemy import Connection, select

from hibari.errors import InvalidRequest
from hibari.serve.api.outbox import Outbox, signed
from hibari.store import Store, tables
from hibari.store.database import database_clock
from hibari.store.queue_rows import write_events
from hibari.store.webhooks import Webhooks

BOTH = ["video.completed", "video.failed"]


class Receiver:
    """A server that keeps what it is sent; `answers` are the statuses it gives in turn, 200 after them."""

    def __init__(self, *answers: int, seconds: float = 0.0) -> None:
        self.heard: list[tuple[bytes, dict[str, str]]] = []
        waiting, receiver = list(answers), self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.heard.append((body, {name.lower(): value for name, value in self.headers.items()}))
                time.sleep(seconds)
                self.send_response(waiting.pop(0) if waiting else 200)
                self.send_header("Location", receiver.url)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Nothing is printed in the midst of pytest's own lines."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}/hook"


@contextmanager
def listening(*answers: int, seconds: float = 0.0) -> Iterator[Receiver]:
    receiver = Receiver(*answers, seconds=seconds)
    thread = threading.Thread(target=receiver.server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield receiver
    finally:
        receiver.server.shutdown()
        thread.join()
        receiver.server.server_close()


class Clock:
    """The real time, and what a test puts on top of it."""

    def __init__(self) -> None:
        self.ahead = timedelta()

    def __call__(self, connection: Connection) -> datetime:
        return database_clock(connection) + self.ahead


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(tmp_path / "hibari.db") as opened:
        yield opened


def announce(store: Store, user: str = "ann") -> None:
    with store.writing() as connection:
        write_events(connection, user=user, video_id="video_1", kind="video.completed", now=datetime.now(UTC))


def run(outbox: Outbox, until: "Iterator[bool]") -> None:
    """Run the outbox until `until` says so, at most ten seconds."""

    async def both() -> None:
        stop = asyncio.Event()
        task = asyncio.create_task(outbox.run(stop))
        deadline = time.monotonic() + 10
        while not next(until) and time.monotonic() < deadline:
            await asyncio.sleep(0.02)
        stop.set()
        await task

    asyncio.run(both())


def delivered(store: Store) -> int:
    table = tables.webhook_events
    with store.reading() as connection:
        return len(connection.execute(select(table).where(table.c.delivered_at.is_not(None))).all())


def test_the_client_accepts_what_is_sent(store: Store) -> None:
    webhooks = Webhooks(store)
    with listening() as receiver:
        made, old = webhooks.create("ann", "mine", receiver.url, BOTH)
        rotated = webhooks.rotate("ann", made.id)
        assert rotated is not None
        announce(store)
        run(Outbox(webhooks, allow_private=True, look_every_s=0.05), (delivered(store) == 1 for _ in iter(int, 1)))
    [(body, headers)] = receiver.heard
    with OpenAI(api_key="none") as client:
        for secret in (rotated[1], old):
            event = client.webhooks.unwrap(body, headers, secret=secret)
            assert event.type == "video.completed" and event.data.id == "video_1"
        assert headers["webhook-id"] == event.id == json.loads(body)["id"]
        for wrong_body, secret in ((body + b" ", old), (body, "whsec_" + "A" * 43 + "=")):
            with pytest.raises(InvalidWebhookSignatureError):
                client.webhooks.unwrap(wrong_body, headers, secret=secret)


def test_what_is_not_heard_is_sent_again_under_the_same_id(store: Store) -> None:
    clock = Clock()
    webhooks = Webhooks(store, clock=clock)

    def later(receiver: Receiver) -> Iterator[bool]:
        while True:
            clock.ahead = timedelta(minutes=2 * len(receiver.heard))
            yield delivered(store) == 1

    with listening(500, 302) as receiver:
        webhooks.create("ann", "mine", receiver.url, BOTH)
        announce(store)
        run(Outbox(webhooks, allow_private=True, look_every_s=0.05), later(receiver))
    assert len(receiver.heard) == 3, "a redirect is a failure too, and not followed"
    assert len({body for body, _ in receiver.heard}) == 1 == len({told["webhook-id"] for _, told in receiver.heard})


def test_an_endpoint_that_hangs_holds_up_no_other(store: Store) -> None:
    webhooks = Webhooks(store)
    with listening(seconds=1.5) as slow, listening() as quick:
        webhooks.create("ann", "slow", slow.url, BOTH)
        webhooks.create("bob", "quick", quick.url, BOTH)
        for _ in range(12):
            announce(store)
        for _ in range(5):
            announce(store, "bob")
        outbox = Outbox(webhooks, allow_private=True, longest_s=0.5, look_every_s=0.02)
        run(outbox, (len(quick.heard) == 5 for _ in iter(int, 1)))
        assert len(quick.heard) == 5 and len(slow.heard) < 6
    table = tables.webhook_events
    with store.reading() as connection:
        errors = set(connection.scalars(select(table.c.last_error).where(table.c.last_error.is_not(None))))
    assert errors == {"The address takes too long to answer."}


def test_private_addresses_are_not_told(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    webhooks = Webhooks(store)
    with listening() as receiver:
        made, _ = webhooks.create("ann", "mine", receiver.url, BOTH)
        announce(store)
        outbox = Outbox(webhooks)
        [told] = webhooks.due(1)
        outbox.deliver(told)
        sample = webhooks.sample("ann", made.id, "video.failed")
        assert sample is not None
        with pytest.raises(InvalidRequest, match="not public"):
            outbox.send(sample)
        assert Outbox(webhooks, allow_private=True).send(sample) == 200
    assert len(receiver.heard) == 1
    table = tables.webhook_events
    with store.reading() as connection:
        row = connection.execute(select(table)).one()
    assert row.delivered_at is None and row.next_at is None and "not public" in row.last_error, "it is given up"
    found = webhooks.find("ann", made.id)
    assert found is not None and found.last_error == row.last_error and webhooks.list("ann") == [found]
    lines = [line for line in caplog.records if told.id in line.message and made.id in line.message]
    assert [line.levelname for line in lines] == ["WARNING"]


def test_a_signature_is_the_standards_own(store: Store) -> None:
    made, secret = Webhooks(store).create("ann", "mine", "https://example.org", BOTH)
    sample = Webhooks(store).sample("ann", made.id, "video.failed")
    assert sample is not None and sample.secrets == (secret,)
    headers = signed(sample, 1674087231)
    assert headers["webhook-timestamp"] == "1674087231" and headers["webhook-id"] == sample.id
    assert headers["webhook-signature"].startswith("v1,") and " " not in headers["webhook-signature"]
