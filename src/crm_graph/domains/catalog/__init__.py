"""What is sold: products."""
