"""Who is addressed: campaigns and their members."""
