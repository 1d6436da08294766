"""What is done to a lake, one module each."""
