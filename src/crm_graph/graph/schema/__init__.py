"""The schema made from the records: derived, bound, weighed, cut to a role."""
