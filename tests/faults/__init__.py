"""The live feed under faults: processes killed, connections cut, clients that do not read, rights that end."""
