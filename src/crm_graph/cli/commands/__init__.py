"""What commands take and print. Nothing here imports a library that is slow, but in the body of a command."""
