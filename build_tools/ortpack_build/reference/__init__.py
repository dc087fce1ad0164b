"""Generates what people and editors read about data files: JSON schemas and reference pages."""
