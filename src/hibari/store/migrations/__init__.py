"""The steps from an empty database to today's tables, one file each under `versions`; run by `store/schema.py`."""
