"""How it is sold: pipelines, their stages, and opportunities."""
