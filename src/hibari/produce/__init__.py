"""The only road from a request to a finished file.

prepare (no torch) -> screen the request -> generate -> screen the frames -> fingerprint -> label -> watermark -> encode
-> sign -> record -> release. `door.py` holds the parts that screen, mark, sign and record; a part that says no, or that
cannot run, raises Refused, and then there is no file. Nothing else in the package writes what a generator made.
"""

from hibari.produce.job import NO_SEED_ABOVE, Job
from hibari.produce.previews import Previews
from hibari.produce.progress import OnProgress, Progress
from hibari.produce.record import Record
from hibari.produce.road import Hibari

__all__ = ["NO_SEED_ABOVE", "Hibari", "Job", "OnProgress", "Previews", "Progress", "Record"]
