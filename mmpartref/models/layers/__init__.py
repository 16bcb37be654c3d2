"""Building blocks shared by the registered models."""
