"""Queries on the tables: SQL sessions, the prompt, output formats, and ready-made queries."""
