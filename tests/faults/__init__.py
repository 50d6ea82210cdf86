"""The live feed under faults: processes killed, connections cut, rights that end."""
