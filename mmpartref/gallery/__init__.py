"""HTML gallery of predictions that opens from disk."""
from mmpartref.gallery.gallery_build import GalleryResult, Options, build_gallery

__all__ = ['GalleryResult', 'Options', 'build_gallery']
