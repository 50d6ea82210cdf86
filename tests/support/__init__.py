"""What the tests share: databases, the graph in a savepoint, the data that every test finds."""
