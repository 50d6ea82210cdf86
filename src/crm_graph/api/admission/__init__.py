"""Who comes in, from where, how often, and at whose expense."""
