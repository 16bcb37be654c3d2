"""Label Studio backend of a model: ``python -m mmpartref.labelling``."""
