"""Who is asking: bearer tokens to viewers."""
