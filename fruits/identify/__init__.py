"""What a photograph is of, answered by a lake that is open."""
