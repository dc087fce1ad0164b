"""What a user asks for, one module each: a kit, a wheel, many wheels, a minimal runtime, the loader."""
