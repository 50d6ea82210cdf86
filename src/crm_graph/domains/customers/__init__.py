"""Who is sold to: customers and their contacts."""
