"""The API: one process without torch that answers everybody, sends webhooks and clears up after what has expired."""
