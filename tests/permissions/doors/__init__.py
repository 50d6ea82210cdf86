"""Every coordinate of the schema x every built-in role x every door: reachable exactly if granted.

What is granted is read off `schema/permissions.txt` (`tests.permissions.matrix`), what is there off the world's rows,
and what a role is answered off the product. `python -m tests.permissions.doors` prints how many combinations that is.
"""
