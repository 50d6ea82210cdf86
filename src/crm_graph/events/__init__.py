"""The append-only log, its readers, the relay that announces it, and the hub that feeds subscriptions."""
