"""Content Credentials (C2PA): who signs, what is said of a file, signing it, and reading it back.

No watermark, fingerprint or record is made here; the signed manifest is handed out, so that the ledger can keep it.
"""
