"""Operations executed: the planned executor's bridge, and the reference."""
