"""How much a user may have: their own limits where they are set, else the service's; and what they have used.

`store.quota` counts and refuses, in the transaction that takes a job in; this file says against what.
"""

from datetime import UTC, datetime

from hibari.access.actors import UserLimits
from hibari.config import ServiceSettings
from hibari.store import Store
from hibari.store.quota import Quota, Usage, used


def quota_of(limits: UserLimits, service: ServiceSettings) -> Quota:
    """What holds for a user who has these limits of their own."""
    return Quota(
        seconds_a_day=service.seconds_a_day if limits.seconds_a_day is None else limits.seconds_a_day,
        jobs_at_once=service.jobs_at_once if limits.jobs_at_once is None else limits.jobs_at_once,
        queue=service.queue_limit,
    )


def usage(store: Store, user: str, at: datetime | None = None) -> Usage:
    """What a user has had at that moment (now, where none is given); raises StoreError."""
    with store.reading() as connection:
        return used(connection, user, at or datetime.now(UTC))
