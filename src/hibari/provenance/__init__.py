"""Where a file comes from: credentials, watermark, fingerprint, ledger. No generating and no screening here."""
