"""The outbox: tells webhook endpoints what the store says is due, signed, until they have heard it.

A loop in the API's process, with threads of its own so that slow endpoints hold up nothing else. What is due, and how
long to wait after a failure, is `store/webhooks.py`'s; which addresses may be asked, `fetch.py`'s. Signatures are
Standard Webhooks' (standardwebhooks.com), which the `openai` clients' `webhooks.unwrap` checks.
"""

import asyncio
import base64
import hashlib
import hmac
import logging
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from hibari.errors import HibariError, InvalidRequest, StoreError
from hibari.fetch import check_public, post
from hibari.store.webhooks import Notice, Webhooks

LOG = logging.getLogger("hibari.serve")
AT_ONCE = 8
LONGEST_S = 10.0  # that an endpoint may take to answer
LOOK_EVERY_S = 1.0
GOOD = range(200, 300)


class Outbox:
    """Delivers what is due. `allow_private` lets endpoints be on this machine and in private networks."""

    def __init__(
        self,
        webhooks: Webhooks,
        *,
        allow_private: bool = False,
        longest_s: float = LONGEST_S,
        look_every_s: float = LOOK_EVERY_S,
    ) -> None:
        self._webhooks = webhooks
        self._allow_private = allow_private
        self._longest_s = longest_s
        self._look_every_s = look_every_s

    async def run(self, stop: asyncio.Event) -> None:
        """Deliver until `stop` is set, and then what is under way.

        An endpoint has one delivery at a time, so that one that hangs takes one thread and not all.
        """
        loop, running = asyncio.get_running_loop(), set[asyncio.Future[None]]()
        with ThreadPoolExecutor(AT_ONCE + 1, thread_name_prefix="outbox") as threads:
            while not stop.is_set():
                for notice in await loop.run_in_executor(threads, self._due, AT_ONCE - len(running)):
                    running.add(loop.run_in_executor(threads, self.deliver, notice))
                await _either(stop, running, self._look_every_s)
                running = {future for future in running if not _over(future)}
            for future in await _all(running):
                _over(future)

    def deliver(self, notice: Notice) -> None:
        """Send one delivery and note how it went, or that it is given up, where its address may not be asked.

        Raises StoreError where that cannot be noted.
        """
        is_refused = False
        try:
            status = self.send(notice)
            reason = "" if status in GOOD else f"It answered with status {status}."
        except HibariError as error:
            reason, is_refused = error.message, isinstance(error, InvalidRequest)  # which waiting does not change
        if not reason:
            self._webhooks.delivered(notice)
            return
        LOG.warning("webhook %s to %s, attempt %d: %s", notice.id, notice.endpoint_id, notice.attempt, reason)
        self._webhooks.failed(notice, reason, give_up=is_refused)

    def check(self, url: str) -> None:
        """Raise InvalidRequest for an address that no delivery would reach, as far as it says so itself."""
        if not self._allow_private:
            check_public(url)

    def send(self, notice: Notice) -> int:
        """Send one delivery and give the status that the endpoint answers with, noting nothing.

        Raises InvalidRequest for an address that may not be asked, and BadMedia where no answer comes in time.
        """
        body = notice.body.encode()
        headers = {"Content-Type": "application/json", **signed(notice, round(time.time()))}
        return post(notice.url, body, headers, seconds=self._longest_s, allow_private=self._allow_private)

    def _due(self, limit: int) -> list[Notice]:
        if limit <= 0:
            return []
        try:
            return self._webhooks.due(limit)
        except StoreError as error:
            LOG.warning("webhooks wait: %s", error)
            return []


def signed(notice: Notice, timestamp: int) -> dict[str, str]:
    """The headers that prove a delivery's origin: its id, a Unix time, and one signature by each secret that holds."""
    content = f"{notice.id}.{timestamp}.{notice.body}".encode()
    signatures = []
    for secret in notice.secrets:
        key = base64.b64decode(secret.removeprefix("whsec_"))
        signatures.append("v1," + base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode("ascii"))
    return {
        "webhook-id": notice.id,
        "webhook-timestamp": str(timestamp),
        "webhook-signature": " ".join(signatures),
    }


async def _either(stop: asyncio.Event, running: set[asyncio.Future[None]], seconds: float) -> None:
    """Wait until something is over, to stop is asked, or it is time to look again."""
    stopping = asyncio.ensure_future(stop.wait())
    waiting: set[asyncio.Future[Any]] = {stopping, *running}
    await asyncio.wait(waiting, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
    stopping.cancel()


async def _all(running: set[asyncio.Future[None]]) -> set[asyncio.Future[None]]:
    return (await asyncio.wait(running))[0] if running else set()


def _over(future: asyncio.Future[None]) -> bool:
    """Whether a delivery is over; one that failed beside its endpoint is due again in a minute, and the log's."""
    if not future.done():
        return False
    error = future.exception()
    if error is not None:
        faulty = None if isinstance(error, HibariError) else error  # a fault of ours stops no other delivery
        LOG.error("a webhook's delivery could not be noted: %s", error, exc_info=faulty)
    return True
