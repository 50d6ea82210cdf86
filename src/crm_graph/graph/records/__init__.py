"""How a slice says its records: fields, edges, scalars, enums."""
