"""ORT's CPU kernels: the tables that register them, and the index of a kit."""
