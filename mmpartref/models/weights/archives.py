"""Published weights: where they lie, where they come from, and whether they are whole."""
import hashlib
import http.client
import os
import re
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.dist import barrier, get_rank
from mmengine.logging import print_log

from mmpartref.errors import DownloadError, MissingWeightsError, WeightsError
from mmpartref.models.weights.state_files import expand_path

# A folder that holds published weights under their own file names; looked into before anything is fetched.
FOLDER_VARIABLE = 'MMPARTREF_WEIGHTS_DIR'
# Where OpenAI's own package keeps its archives, so that nobody downloads twice.
CLIP_CACHE = Path('~/.cache/clip')
CLIP_HOST = 'https://openaipublic.azureedge.net/clip/models'
CHUNK = 1 << 20
TIMEOUT = 30


@dataclass(frozen=True)
class Archive:
    """A published file.

    Attributes:
        url: where it is fetched from.
        sha256: its SHA-256, or the first digits of it, in hexadecimal; '' where nothing is published.
        size: bytes, where known.
    """
    url: str
    sha256: str
    size: int | None = None

    @property
    def file_name(self) -> str:
        """Its name in every folder."""
        return self.url.rsplit('/', 1)[-1]

    @property
    def described(self) -> str:
        """Size and checksum, as far as they are known."""
        size = f'{self.size:,} bytes, ' if self.size is not None else ''
        return f'{size}SHA-256 {self.sha256}{"..." if len(self.sha256) < 64 else ""}'


def clip_archive(file_name: str, sha256: str, size: int) -> Archive:
    """Describe one of OpenAI's archives: the SHA-256 is part of its address."""
    return Archive(f'{CLIP_HOST}/{sha256}/{file_name}', sha256, size)


# Source of the addresses: openai/CLIP, clip/clip.py.
CLIP_ARCHIVES = {
    'RN50': clip_archive('RN50.pt', 'afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762', 255827503),
    'RN101': clip_archive('RN101.pt', '8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599', 291791292),
    'RN50x4': clip_archive('RN50x4.pt', '7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd', 421854225),
    'RN50x16': clip_archive('RN50x16.pt', '52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa',
                            661125706),
    'RN50x64': clip_archive('RN50x64.pt', 'be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c',
                           1353500174),
    'ViT-B/32': clip_archive('ViT-B-32.pt', '40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af',
                            353976522),
    'ViT-B/16': clip_archive('ViT-B-16.pt', '5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f',
                            350837078),
    'ViT-L/14': clip_archive('ViT-L-14.pt', 'b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836',
                            932768134),
}


def locate_clip(checkpoint: str | Path) -> Path:
    """Return the file of a CLIP checkpoint.

    Args:
        checkpoint: a path, in which ``~`` and ``$VARIABLES`` are expanded, or the name of one of OpenAI's archives
            (``'RN50'``). A name is looked for in the folder that ``MMPARTREF_WEIGHTS_DIR`` names, then in
            ``~/.cache/clip``, then fetched into the latter.

    Raises:
        MissingWeightsError: it is nowhere, and cannot be fetched; the message says where to put it.
        WeightsError: what was found or fetched is not the published archive.
    """
    if str(checkpoint) not in CLIP_ARCHIVES:
        path = expand_path(checkpoint)
        if not path.is_file():
            raise MissingWeightsError(f'there is no CLIP checkpoint {path}; give the path of a file, or one of '
                                    f"{', '.join(CLIP_ARCHIVES)}")
        return path
    return locate(CLIP_ARCHIVES[str(checkpoint)], CLIP_CACHE)


def locate_url(url: str) -> Path:
    """Return the file behind a URL, looked for and fetched like ``locate``'s, in torch hub's cache.

    A name that ends in ``-<8 or more hexadecimal digits>`` before its suffix says how its SHA-256 begins, as torch hub
    and OpenMMLab's model zoos have it; other files are not checked.

    Raises:
        MissingWeightsError, WeightsError: see ``locate``.
    """
    stem = url.rsplit('/', 1)[-1].rsplit('.', 1)[0]
    found = re.search(r'-([0-9a-f]{8,64})$', stem)
    return locate(Archive(url, found.group(1) if found else ''), Path(torch.hub.get_dir()) / 'checkpoints')


def locate(archive: Archive, cache: Path) -> Path:
    """Return a published file: from the folder that ``MMPARTREF_WEIGHTS_DIR`` names, from ``cache``, or fetched there.

    Raises:
        MissingWeightsError: it is nowhere, and cannot be fetched; the message says where to put it.
        WeightsError: what was found or fetched is not the published file.
    """
    cached = cache.expanduser() / archive.file_name
    folder = os.environ.get(FOLDER_VARIABLE)
    for path in ([Path(folder).expanduser() / archive.file_name] if folder else []) + [cached]:
        if path.is_file():
            check_archive(path, archive)
            return path
    _fetch_once(archive, cached)
    return cached


def _fetch_once(archive: Archive, target: Path) -> None:
    """Fetch in one process while the others wait; then in one of every machine that does not share its folders."""
    failure: Exception | None = None
    for turn in (get_rank(), int(os.environ.get('LOCAL_RANK', 0))):
        if turn == 0 and failure is None and not target.is_file():
            try:
                fetch(archive, target)
            except WeightsError as error:
                failure = error
        barrier()
    if failure is not None:
        raise failure
    if not target.is_file():
        raise MissingWeightsError(f'{target} is not there: the process that was to fetch it failed, see its message')


def fault(path: Path, archive: Archive) -> str:
    """Say how a file differs from the published one, '' where it does not."""
    size = path.stat().st_size
    if archive.size is not None and size != archive.size:
        return f'it has {size:,} bytes'
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return '' if digest.hexdigest().startswith(archive.sha256) else f'its SHA-256 is {digest.hexdigest()}'


def check_archive(path: Path, archive: Archive) -> None:
    """Compare a file with the published size and SHA-256.

    Raises:
        WeightsError: it differs.
    """
    found = fault(path, archive)
    if found:
        raise WeightsError(f'{path} is not the published {archive.file_name} ({archive.described}): {found}; delete it '
                           f'and fetch {archive.url}, or give the path of your own checkpoint instead')


def fetch(archive: Archive, target: Path) -> None:
    """Download an archive, continuing where an earlier attempt stopped; ``target`` appears only when it is whole.

    Raises:
        MissingWeightsError: the network does not give it.
        WeightsError: what came is not the published archive.
    """
    partial = target.with_name(target.name + '.partial')
    size = f' ({archive.size / 2**20:.0f} MiB)' if archive.size is not None else ''
    print_log(f'fetching {archive.url}{size} to {target}', 'current')
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not partial.is_file() or archive.size is None or partial.stat().st_size < archive.size:
            expected = _download(archive.url, partial)
            size_now = partial.stat().st_size
            if size_now < (archive.size or expected):
                raise DownloadError(f'cut off after {size_now:,} of {archive.size or expected:,} bytes, which are '
                                    'kept: try again')
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, 'reason', error)
        raise MissingWeightsError(
            f'{archive.file_name} is not on this machine and could not be fetched ({reason}): download {archive.url} '
            f'elsewhere and put it at {target}, or into a folder that ${FOLDER_VARIABLE} names') from None
    found = fault(partial, archive)
    if found:
        # Whole and still wrong: continuing it would never end well.
        partial.unlink()
        raise WeightsError(f'what came from {archive.url} is not the published file ({found}) and was deleted: try '
                           'again, or fetch it another way')
    partial.replace(target)


def _download(url: str, partial: Path) -> int:
    """Append to ``partial`` what it lacks; returns the size the server announces for the whole, 0 if it does not."""
    start = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(url, headers={'Range': f'bytes={start}-'} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        # A server that knows no ranges answers 200 and starts from the beginning.
        mode = 'ab' if start and response.status == 206 else 'wb'
        announced = int(response.headers.get('Content-Length') or 0)
        whole = announced + (start if mode == 'ab' else 0) if announced else 0
        with partial.open(mode) as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
    return whole
