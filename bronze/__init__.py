"""Bronze: the photographs' bytes and labels, and the files in quarantine."""
