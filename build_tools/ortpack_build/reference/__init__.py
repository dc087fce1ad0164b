"""What is generated for readers of data files: JSON schemas for editors, and reference pages."""
