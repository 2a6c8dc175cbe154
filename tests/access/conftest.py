"""The stores that these tests run against."""

from databases import postgres, store

__all__ = ["postgres", "store"]
