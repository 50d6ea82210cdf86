"""The register of credentials, walked."""
