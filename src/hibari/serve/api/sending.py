"""Answers that take long to send: each has a place at a gate, and ends where nobody reads it. It chooses no words."""

import asyncio
from collections.abc import AsyncIterable, Generator, Iterable, Mapping

from starlette.responses import StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from hibari.serve.api.errors import LOG
from hibari.serve.api.gates import Gate

STALLED_S = 60.0  # without room for one more piece: then the other side reads no more


class Counted(StreamingResponse):
    """A stream that counts at a gate under a name from when it is made; raises ApiError (429) where there is no room.

    It gives its place back however it ends, even before its first word.
    """

    def __init__(
        self,
        pieces: Iterable[bytes] | AsyncIterable[str],
        gate: Gate,
        name: str,
        *,
        status: int = 200,
        headers: Mapping[str, str],
        kind: str,
    ) -> None:
        super().__init__(pieces, status, headers, kind)
        gate.enter(name)
        self._pieces = pieces
        self._leave = lambda: gate.leave(name)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, as long as somebody reads."""
        stalled = False

        async def sent(message: Message) -> None:
            nonlocal stalled
            try:
                async with asyncio.timeout(STALLED_S):
                    await send(message)
            except TimeoutError:
                stalled = True
                raise

        try:
            await super().__call__(scope, receive, sent)
        except Exception:  # which one depends on the server's version of ASGI
            if not stalled:
                raise
            LOG.warning("an answer ends before its end: nobody reads it")
        finally:
            self._leave()
            if isinstance(self._pieces, Generator):
                self._pieces.close()  # and the file with it, however long the error that ended this is kept
