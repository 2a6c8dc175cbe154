"""What holds for a user, and what they have had today. Under a second."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from hibari.access import UserLimits
from hibari.access.quota import quota_of, usage
from hibari.config import ServiceSettings
from hibari.store import Store, tables
from hibari.store.quota import Quota, Usage

NOW = datetime(2026, 11, 22, 23, 30, tzinfo=UTC)


def test_own_limits_go_before_the_services() -> None:
    service = ServiceSettings(seconds_a_day=60, jobs_at_once=2, queue_limit=9)
    assert quota_of(UserLimits(), service) == Quota(seconds_a_day=60, jobs_at_once=2, queue=9)
    nothing = quota_of(UserLimits(seconds_a_day=0, jobs_at_once=0), service)
    assert nothing == Quota(seconds_a_day=0, jobs_at_once=0, queue=9), "nothing is a limit too"


def test_what_a_user_had_today(store: Store) -> None:
    common = {"verb": "create", "model": "tiny", "size": "96x64", "seconds": "4", "request": {}, "progress": 0}
    common |= {"created_at": NOW, "priority": 0, "cost": 1.0, "attempt": 0, "crashes": 0}
    with store.writing() as connection:
        for number, (user, status) in enumerate(
            [("ann", "queued"), ("ann", "in_progress"), ("ann", "completed"), ("ann", "failed"), ("bob", "queued")]
        ):
            row = common | {"id": f"video_{number}", "user_name": user, "status": status}
            connection.execute(insert(tables.videos).values(row))
        for user, day, seconds in (
            ("ann", "2026-11-22", 8.5),
            ("ann", "2026-11-21", 100.0),
            ("bob", "2026-11-22", 4.0),
        ):
            connection.execute(insert(tables.usage).values(user_name=user, day=day, seconds=seconds))
    assert usage(store, "ann", NOW) == Usage(seconds_today=8.5, jobs=2)
    assert usage(store, "ann", NOW + timedelta(hours=1)) == Usage(seconds_today=0.0, jobs=2), "a new day"
    assert usage(store, "eve") == Usage(seconds_today=0.0, jobs=0)
