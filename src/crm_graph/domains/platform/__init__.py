"""What serves every domain: the audit trail, jobs and webhooks."""
