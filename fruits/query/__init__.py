"""Questions to the tables: SQL, its prompt and answers, and those that are asked often."""
