"""How the files that a worker makes are named among the blobs: the contract between it and the API."""

from hibari.store.queue_rows import Job

PREVIEW = "preview.webp"


def blob_of(job: Job, name: str) -> str:
    """Where a file that this claim of a job made is kept.

    Each claim has names of its own, so that one who was thought dead overwrites nobody's file.
    """
    assert job.lease is not None
    stem, dot, suffix = name.rpartition(".")
    return f"{job.id}/{stem}-{job.lease.attempt}{dot}{suffix}"
