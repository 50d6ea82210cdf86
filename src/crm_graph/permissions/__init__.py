"""The permission engine: roles and grants to row predicates and column expressions. Knows no entity."""
