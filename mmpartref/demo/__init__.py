"""A page to try a model on: ``python -m mmpartref.demo``."""
