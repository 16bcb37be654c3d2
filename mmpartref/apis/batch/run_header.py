"""What makes two runs the same: model, expressions, options and images."""
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmpartref.apis.batch.shares import Share
from mmpartref.apis.image_files import ImageFile
from mmpartref.apis.model_building import existing_file, model_info
from mmpartref.files.plain_file import open_plain_file

# Of a checkpoint are read: its blocks of this size, or of a larger file so many, and its end. The end of torch's files
# has the checksums of all tensors.
BLOCK, BLOCKS = 2**16, 256


def run_header(config: Config, weights: str | Path | None, expressions: Sequence[str], options: Mapping[str, Any],
               images: Sequence[ImageFile], share: Share) -> dict[str, Any]:
    """Return the header of a run's journal.

    Args:
        config: of the model.
        weights: path of the checkpoint; None for those that the config names.
        expressions: in their order.
        options: all others that change an output, beyond the rounding of sums.
        images: all of them, not the share's alone.
        share: of the images.
    """
    names = '\n'.join(f'{image.name}\t{image.stem}' for image in images)
    return {'info': model_info(config, weights), 'config SHA-256': sha256(config.text.encode(errors='surrogatepass')),
            'checkpoint SHA-256': None if weights is None else file_sha256(weights),
            'expressions': list(expressions), 'options': dict(options), 'images': len(images),
            'image names SHA-256': sha256(os.fsencode(names)), 'share': asdict(share)}


def sha256(content: bytes) -> str:
    """Return a digest in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: str | Path) -> str:
    """Return the digest of a file's size and blocks, see ``BLOCKS``: in a moment also of one of gigabytes."""
    with open_plain_file(existing_file(path, 'checkpoint')) as file:
        size = file.seek(0, os.SEEK_END)
        digest = hashlib.sha256(str(size).encode())
        for block in range(BLOCKS):
            file.seek(max(block * BLOCK, block * size // BLOCKS))
            digest.update(file.read(BLOCK))
        file.seek(max(0, size - BLOCK * BLOCKS // 16))
        digest.update(file.read())
    return digest.hexdigest()
