"""Who is helped: tickets and their replies."""
