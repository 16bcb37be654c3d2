"""Web demo of a model: ``python -m mmpartref.demo``."""
