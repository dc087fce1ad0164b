"""A folder that is ready to run, and the wheel that it is packed into."""
