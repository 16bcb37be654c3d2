"""Safe reading, conversion and checking of weights."""
