"""The service: what the API is a function of. Everything that lasts longer than a request is opened here, once."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from hibari.access import Audit, Keys, Users
from hibari.access.oidc import Tokens
from hibari.config import Settings
from hibari.provenance.places import ledger_url
from hibari.serve.api.cost import Forecast
from hibari.serve.api.gates import Gates
from hibari.serve.api.guard import Limiter
from hibari.serve.api.lookup import Lookup
from hibari.serve.api.metrics import Meters
from hibari.serve.api.models import Models
from hibari.serve.api.outbox import Outbox
from hibari.serve.api.sweeper import Sweeper
from hibari.serve.api.uploads import Uploads
from hibari.serve.helper.client import Helpers
from hibari.store import Store
from hibari.store.blobs import Blobs, open_blobs
from hibari.store.characters import Characters
from hibari.store.queue import Queue
from hibari.store.webhooks import Webhooks


def utc_now() -> datetime:
    """The moment, in UTC."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Service:
    """What handlers work with. `lookup` is there on SQLite alone, `tokens` where an issuer signs people in."""

    settings: Settings
    store: Store
    queue: Queue
    blobs: Blobs
    keys: Keys
    tokens: Tokens | None
    audit: Audit
    webhooks: Webhooks
    outbox: Outbox
    sweeper: Sweeper
    characters: Characters
    models: Models
    helpers: Helpers
    uploads: Uploads
    limiter: Limiter
    lookup: Lookup | None
    forecast: Forecast
    gates: Gates
    meters: Meters
    clock: Callable[[], datetime] = utc_now

    @classmethod
    def open(cls, settings: Settings) -> Self:
        """Everything as the settings say; raises StoreError, OutputError and InvalidRequest."""
        home = settings.ensure_home()
        store = Store.open(ledger_url(settings))
        own = settings.service
        users = Users(store)
        queue, blobs, webhooks = Queue(store), open_blobs(settings), Webhooks(store)
        lookup = Lookup(store) if store.engine.dialect.name == "sqlite" else None
        tokens = None
        if own.oidc_issuer is not None and own.oidc_audience is not None:
            tokens = Tokens(own.oidc_issuer, own.oidc_audience, users)
        return cls(
            settings=settings,
            store=store,
            queue=queue,
            blobs=blobs,
            keys=Keys(store, reading=lookup.reading if lookup is not None else None),
            tokens=tokens,
            audit=Audit(store),
            webhooks=webhooks,
            outbox=Outbox(webhooks),
            sweeper=Sweeper(store, queue, blobs, webhooks),
            characters=Characters(store),
            models=Models(settings),
            helpers=Helpers.of(settings),
            uploads=Uploads(home, own.max_upload_mb * 10**6),
            limiter=Limiter(),
            lookup=lookup,
            forecast=Forecast(store),
            gates=Gates(),
            meters=Meters(store, blobs),
        )

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a local file, which is read without waiting for anybody."""
        return self.lookup is not None

    def close(self) -> None:
        """End the helpers and give back every connection."""
        self.helpers.close()
        self.keys.close()
        if self.lookup is not None:
            self.lookup.close()
        self.store.close()
