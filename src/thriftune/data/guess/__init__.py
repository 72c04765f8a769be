"""What `thriftune init` guesses from a file."""
