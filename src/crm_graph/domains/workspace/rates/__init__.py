"""One slice; see the role files."""
