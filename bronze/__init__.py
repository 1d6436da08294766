"""Bronze: the photographs as they are, and what could not be read."""
