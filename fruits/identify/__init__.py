"""Identify photographs by an open lake."""
