"""Numbers for Prometheus. No user's name or prompt is in them."""

import resource
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from anyio import to_thread
from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector
from sqlalchemy import Connection, func, select
from starlette.responses import Response

from hibari.serve.api.call import Call
from hibari.serve.api.health import HERE, Readiness
from hibari.store import Store, refusals, tables, workers
from hibari.store.blobs import Blobs
from hibari.store.database import database_clock
from hibari.store.queue import Queue

LATELY = timedelta(minutes=10)
_QUANTILES = (0.5, 0.95)
_WAITS = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0, 60.0)


class _Registry(CollectorRegistry):
    """Without the moments at which counters began: as many lines as the numbers, and of no use."""

    def collect(self) -> Iterator[Metric]:
        """What it has."""
        for family in super().collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


class Meters:
    """The counters of this process, and what is read when somebody looks."""

    def __init__(self, store: Store, blobs: Blobs) -> None:
        self.readiness = Readiness(store, blobs)
        self.registry = _Registry()
        self._requests = Counter(
            "hibari_requests", "Requests answered.", ["operation", "status"], registry=self.registry
        )
        self._refused = Counter(
            "hibari_refused_requests", "Requests answered with an error.", ["code"], registry=self.registry
        )
        self._seconds = Histogram(
            "hibari_request_seconds", "Time to the first byte.", registry=self.registry, buckets=_WAITS
        )
        self.registry.register(QueueNumbers(store))
        self.registry.register(WorkerNumbers(store))
        self.registry.register(Memory())

    def count(self, operation: str, status: int, seconds: float, code: str | None = None) -> None:
        """Note one answer; `code` is its error's."""
        self._requests.labels(operation, str(status)).inc()
        self._seconds.observe(seconds)
        if code is not None:
            self._refused.labels(code).inc()


class FromStore(Collector):
    """Numbers that are read when somebody looks: nothing is kept between two looks."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def describe(self) -> list[Metric]:
        """Nothing beforehand: registering must not read the database."""
        return []


class QueueNumbers(FromStore):
    """What the queue says now, and how often it refused."""

    def collect(self) -> Iterator[Metric]:
        """Depth by status, waits, seconds of video made a second, and refusals by reason."""
        depth = GaugeMetricFamily("hibari_videos", "Videos that are kept, by status.", labels=["status"])
        for status, count in Queue(self._store).depth().items():
            depth.add_metric([status], count)
        yield depth
        with self._store.reading() as connection:
            now = database_clock(connection)
            yield _gauge(
                "hibari_queue_wait_seconds", "How long the oldest queued video waits.", _oldest(connection, now)
            )
            started = GaugeMetricFamily(
                "hibari_started_wait_seconds", "How long videos begun within ten minutes waited.", labels=["quantile"]
            )
            waits = _waits(connection, now - LATELY)
            for quantile in _QUANTILES:
                started.add_metric([str(quantile)], _quantile(waits, quantile))
            yield started
            made = _seconds_made(connection, now - LATELY) / LATELY.total_seconds()
            yield _gauge("hibari_video_seconds_per_second", "Seconds of video made a second, of ten minutes.", made)
            refused = CounterMetricFamily("hibari_refusals", "Jobs that ended as an error.", labels=["reason"])
            for reason, count in refusals.totals(connection).items():
                refused.add_metric([reason], count)
            yield refused


class WorkerNumbers(FromStore):
    """The workers of all machines, as they say themselves every few seconds."""

    def collect(self) -> Iterator[Metric]:
        """How many there are, and what each one's maker holds of memory."""
        here = workers.present(self._store, HERE)
        labels = ["worker", "device"]
        memory = GaugeMetricFamily("hibari_worker_memory_bytes", "Resident memory of a worker's maker.", labels=labels)
        device = GaugeMetricFamily(
            "hibari_worker_device_bytes", "What it holds of its accelerator's memory.", labels=labels
        )
        for one in here:
            named = [one.owner, one.holding.device]
            memory.add_metric(named, one.holding.memory_bytes)
            if one.holding.device_bytes is not None:
                device.add_metric(named, one.holding.device_bytes)
        yield _gauge("hibari_workers", "Workers that are there.", len(here))
        yield memory
        yield device


class Memory(Collector):
    """The memory of this process; the workers tell their own."""

    def collect(self) -> Iterator[Metric]:
        """Resident bytes now, and at most."""
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
        now = pages * resource.getpagesize()
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        yield _gauge("hibari_api_memory_bytes", "Resident memory of the API process.", now)
        yield _gauge("hibari_api_memory_peak_bytes", "Its highest so far.", most)


def _oldest(connection: Connection, now: datetime) -> float:
    videos = tables.videos
    oldest = select(func.min(videos.c.created_at)).where(videos.c.status == "queued")
    since = connection.execute(oldest).scalar()
    return (now - since).total_seconds() if since is not None else 0.0


def _waits(connection: Connection, since: datetime) -> list[float]:
    """From the request to the first claim, in seconds, the shortest first."""
    videos = tables.videos
    begun = select(videos.c.created_at, videos.c.started_at).where(videos.c.started_at > since)
    return sorted((row.started_at - row.created_at).total_seconds() for row in connection.execute(begun))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so large a share is not above; 0 of none."""
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _seconds_made(connection: Connection, since: datetime) -> float:
    videos = tables.videos
    made = func.sum(videos.c.request["seconds"].as_float())  # of an extension the new part, which `seconds` adds to
    lately = select(made).where(videos.c.status == "completed", videos.c.completed_at > since)
    return connection.execute(lately).scalar() or 0.0


def _gauge(name: str, about: str, value: float) -> GaugeMetricFamily:
    return GaugeMetricFamily(name, about, value=value)


async def read_metrics(call: Call) -> Response:
    """The numbers in Prometheus' text format."""
    text = await to_thread.run_sync(generate_latest, call.service.meters.registry)
    return Response(text, headers={"content-type": CONTENT_TYPE_LATEST})
