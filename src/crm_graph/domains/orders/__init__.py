"""What was ordered: orders and their lines."""
