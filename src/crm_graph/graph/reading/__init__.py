"""Lists, filters, orders and measures as SQL."""
