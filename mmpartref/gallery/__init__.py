"""Predictions to look at: a folder with an HTML page that opens from disk."""
from mmpartref.gallery.gallery_build import Built, Options, build_gallery

__all__ = ['Built', 'Options', 'build_gallery']
