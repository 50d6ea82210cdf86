"""Documents: parsed, bounded, trusted, and what is kept of them."""
