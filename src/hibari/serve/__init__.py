"""The Videos API and its workers: a service over the one road that makes files. The API process loads no torch."""
