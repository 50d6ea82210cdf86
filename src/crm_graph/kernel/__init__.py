"""What every layer may use: ids, clock, money, cursors and the error tree. Standard library only."""
