"""Commands of who runs an installation."""
