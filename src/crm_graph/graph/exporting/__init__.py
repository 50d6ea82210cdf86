"""Records as lines of a file."""
