"""Numbers for Prometheus, and whether the service is alive and ready. No user's name or prompt is in them."""

import resource
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from anyio import to_thread
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select
from starlette.responses import JSONResponse, Response

from hibari.errors import HibariError
from hibari.serve.api.call import Call
from hibari.serve.api.errors import LOG
from hibari.store import Store, tables
from hibari.store.queue import database_clock
from hibari.store.queue_rows import STATUSES

_LATELY = timedelta(minutes=10)
_WAITS = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)


class Meters:
    """The counters of this process, and what is read from the database when somebody looks."""

    def __init__(self, store: Store) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "hibari_requests", "Requests answered.", ["operation", "status"], registry=self.registry
        )
        self._seconds = Histogram(
            "hibari_request_seconds", "Time to the first byte.", registry=self.registry, buckets=_WAITS
        )
        self.registry.register(QueueNumbers(store))
        self.registry.register(Memory())

    def count(self, operation: str, status: int, seconds: float) -> None:
        """Note one answer."""
        self._requests.labels(operation, str(status)).inc()
        self._seconds.observe(seconds)


class QueueNumbers(Collector):
    """What the videos table says now: nothing is kept between two looks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list[Metric]:
        """Nothing beforehand: registering must not read the database."""
        return []

    def collect(self) -> Iterator[Metric]:
        """Depth by status, the longest wait, seconds of video made a second, and failures by reason."""
        with self._store.reading() as connection:
            now = database_clock(connection)
            yield _by_status(connection)
            videos = tables.videos
            oldest = select(videos.c.created_at).where(videos.c.status == "queued").order_by(videos.c.sequence)
            since = connection.execute(oldest.limit(1)).scalar()
            waited = (now - since).total_seconds() if since is not None else 0.0
            yield _gauge("hibari_queue_wait_seconds", "How long the oldest queued video has waited.", waited)
            made = connection.execute(
                select(videos.c.seconds).where(videos.c.status == "completed", videos.c.completed_at > now - _LATELY)
            ).scalars()
            rate = sum(float(seconds) for seconds in made) / _LATELY.total_seconds()
            yield _gauge("hibari_video_seconds_per_second", "Seconds of video made a second, of ten minutes.", rate)
            failures = GaugeMetricFamily("hibari_failed_videos", "Failed videos that are kept.", labels=["reason"])
            counted = select(videos.c.error_code, func.count()).where(videos.c.status == "failed")
            for reason, count in connection.execute(counted.group_by(videos.c.error_code)):
                failures.add_metric([reason or "unknown"], count)
            yield failures


def _by_status(connection: Connection) -> Metric:
    status = tables.videos.c.status
    counted = {row[0]: row[1] for row in connection.execute(select(status, func.count()).group_by(status))}
    depth = GaugeMetricFamily("hibari_videos", "Videos that are kept, by status.", labels=["status"])
    for each in STATUSES:
        depth.add_metric([each], counted.get(each, 0))
    return depth


class Memory(Collector):
    """The memory of this process; of the workers' the operating system's own exporters know."""

    def collect(self) -> Iterator[Metric]:
        """Resident bytes now, and at most."""
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        now = pages * resource.getpagesize()
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        yield _gauge("hibari_api_memory_bytes", "Resident memory of the API process.", now)
        yield _gauge("hibari_api_memory_peak_bytes", "Its highest so far.", most)


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, value=value)


async def read_metrics(call: Call) -> Response:
    """The numbers in Prometheus' text format."""
    text = await to_thread.run_sync(generate_latest, call.service.meters.registry)
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})


async def healthz(call: Call) -> Response:
    """The process answers; nothing else is asked."""
    del call
    return JSONResponse({"status": "ok"})


async def readyz(call: Call) -> Response:
    """The database and the file store answer too."""
    try:
        await to_thread.run_sync(call.service.queue.find, "video_none")
        await to_thread.run_sync(call.service.blobs.size, f"video_{0:024x}/video.mp4")
    except HibariError as error:
        LOG.error("not ready: %s", error)
        return JSONResponse({"status": "not ready"}, 503, {"retry-after": "5"})
    return JSONResponse({"status": "ready"})
