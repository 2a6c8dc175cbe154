"""The workers: each claims jobs from the queue and has one child process, its maker, make them."""
