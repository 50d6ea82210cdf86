"""Backups of an installation, and its log continued in another cluster."""
