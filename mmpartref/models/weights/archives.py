"""Locate, download and verify published weights."""
import hashlib
import http.client
import os
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from mmengine.dist import barrier, get_rank
from mmengine.logging import print_log

from mmpartref.errors import DownloadError, MissingWeightsError, WeightsError
from mmpartref.models.layers.optional_package import import_package

# Environment variable of a folder with published weights under their own file names, searched before downloading.
FOLDER_VARIABLE = 'MMPARTREF_WEIGHTS_DIR'
# Cache of OpenAI's own package.
CLIP_CACHE = Path('~/.cache/clip')
CLIP_HOST = 'https://openaipublic.azureedge.net/clip/models'
CHUNK = 1 << 20
TIMEOUT = 30


@dataclass(frozen=True)
class Archive:
    """A published file.

    Attributes:
        url: address.
        sha256: SHA-256 or its first digits, in hexadecimal; '' if unknown.
        size: bytes; None if unknown.
    """
    url: str
    sha256: str
    size: int | None = None

    @property
    def file_name(self) -> str:
        """File name."""
        return self.url.rsplit('/', 1)[-1]

    @property
    def described(self) -> str:
        """Size and checksum for messages."""
        size = f'{self.size:,} bytes, ' if self.size is not None else ''
        return f'{size}SHA-256 {self.sha256}{"..." if len(self.sha256) < 64 else ""}'


# Source of the addresses, which contain the SHA-256: openai/CLIP, clip/clip.py.
CLIP_ARCHIVES = {
    name: Archive(f'{CLIP_HOST}/{sha256}/{name.replace("/", "-")}.pt', sha256, size) for name, sha256, size in (
        ('RN50', 'afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762', 255827503),
        ('RN101', '8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599', 291791292),
        ('RN50x4', '7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd', 421854225),
        ('RN50x16', '52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa', 661125706),
        ('RN50x64', 'be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c', 1353500174),
        ('ViT-B/32', '40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af', 353976522),
        ('ViT-B/16', '5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f', 350837078),
        ('ViT-L/14', 'b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836', 932768134),
    )
}


def expand_path(path: str | Path) -> Path:
    """Return a path with ``~`` and ``$VARIABLES`` expanded."""
    return Path(os.path.expandvars(str(path))).expanduser()


def locate_clip(checkpoint: str | Path) -> Path:
    """Return the path of a CLIP checkpoint.

    Args:
        checkpoint: a path, in which ``~`` and ``$VARIABLES`` are expanded, or the name of one of OpenAI's archives
            (``'RN50'``), which is searched in the folder ``$MMPARTREF_WEIGHTS_DIR`` and in ``~/.cache/clip``, and
            otherwise downloaded to the latter.

    Raises:
        MissingWeightsError, WeightsError: see ``locate``.
    """
    if str(checkpoint) not in CLIP_ARCHIVES:
        path = expand_path(checkpoint)
        if not path.is_file():
            raise MissingWeightsError(f'there is no CLIP checkpoint {path}; give the path of a file, or one of '
                                    f"{', '.join(CLIP_ARCHIVES)}")
        return path
    return locate(CLIP_ARCHIVES[str(checkpoint)], CLIP_CACHE)


def locate_url(url: str) -> Path:
    """Return the path of a file with a URL; see ``locate``. The cache is torch hub's.

    Digits of a file name that ends in ``-<8 or more hexadecimal digits>`` before its suffix, as in torch hub and
    OpenMMLab's model zoos, are compared with the SHA-256.

    Raises:
        MissingWeightsError, WeightsError: see ``locate``.
    """
    stem = url.rsplit('/', 1)[-1].rsplit('.', 1)[0]
    found = re.search(r'-([0-9a-f]{8,64})$', stem)
    return locate(Archive(url, found.group(1) if found else ''), Path(torch.hub.get_dir()) / 'checkpoints')


def locate(archive: Archive, cache: Path) -> Path:
    """Return the path of a published file in ``$MMPARTREF_WEIGHTS_DIR`` or in ``cache``, where it is downloaded to.

    Raises:
        MissingWeightsError: it does not exist and cannot be downloaded; the message names the path for it.
        WeightsError: its size or checksum is wrong.
    """
    cached = cache.expanduser() / archive.file_name
    folder = os.environ.get(FOLDER_VARIABLE)
    for path in ([Path(folder).expanduser() / archive.file_name] if folder else []) + [cached]:
        if path.is_file():
            found = find_difference(path, archive)
            if found:
                raise WeightsError(f'{path} is not the published {archive.file_name} ({archive.described}): {found}; '
                                   f'delete it and download {archive.url}, or give the path of another checkpoint')
            return path
    _fetch_once(archive, cached)
    return cached


def _fetch_once(archive: Archive, target: Path) -> None:
    """Download on rank 0 while the other ranks wait, then on local rank 0 of machines without that file system."""
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
        raise MissingWeightsError(f'{target} does not exist: see the error of the process that downloads it')


def find_difference(path: Path, archive: Archive) -> str:
    """Return how the size or checksum of a file differs from the published one, or ''."""
    size = path.stat().st_size
    if archive.size is not None and size != archive.size:
        return f'it has {size:,} bytes'
    digest = hashlib.sha256()
    with path.open('rb') as file:
        while chunk := file.read(CHUNK):
            digest.update(chunk)
    return '' if digest.hexdigest().startswith(archive.sha256) else f'its SHA-256 is {digest.hexdigest()}'


def fetch(archive: Archive, target: Path) -> None:
    """Download an archive to ``target``, atomically; an interrupted download is continued.

    Raises:
        MissingWeightsError: the download fails.
        WeightsError: size or checksum of the downloaded file are wrong.
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
                raise DownloadError(f'cut off after {size_now:,} of {archive.size or expected:,} bytes: try again '
                                    'to continue')
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, 'reason', error)
        raise MissingWeightsError(
            f'{archive.file_name} is not on this machine and could not be fetched ({reason}): download {archive.url} '
            f'elsewhere and put it at {target}, or into the folder ${FOLDER_VARIABLE}') from None
    found = find_difference(partial, archive)
    if found:
        # A complete but wrong file cannot be continued.
        partial.unlink()
        raise WeightsError(f'the download of {archive.url} is not the published file ({found}) and was deleted: try '
                           'again, or download it elsewhere')
    partial.replace(target)


def _download(url: str, partial: Path) -> int:
    """Append the rest of a file to ``partial``; return the complete size announced by the server, or 0."""
    start = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(url, headers={'Range': f'bytes={start}-'} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        # A server without range requests responds with status 200 and the complete file.
        mode = 'ab' if start and response.status == 206 else 'wb'
        announced = int(response.headers.get('Content-Length') or 0)
        whole = announced + (start if mode == 'ab' else 0) if announced else 0
        with partial.open(mode) as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
    return whole


def check_hub_access(repository: str, files: Sequence[str]) -> None:
    """Check that a repository's weights are in the cache of Hugging Face's hub, or that the hub can be reached.

    Its client would try for half a minute.

    Args:
        repository: e.g. ``'google/siglip2-base-patch16-224'``.
        files: names under which it may have the weights.

    Raises:
        MissingWeightsError: neither.
    """
    hub = import_package('huggingface_hub', f'the download of {repository}')
    if any(isinstance(hub.try_to_load_from_cache(repository, name), str) for name in files):
        return
    if os.environ.get('HF_HUB_OFFLINE', '').upper() in ('1', 'ON', 'YES', 'TRUE'):
        return  # the client does not try
    endpoint = os.environ.get('HF_ENDPOINT', 'https://huggingface.co').rstrip('/')
    try:
        with urllib.request.urlopen(urllib.request.Request(endpoint, method='HEAD'), timeout=TIMEOUT):
            return
    except urllib.error.HTTPError:
        return  # it responds; the client reports what it misses
    except (OSError, ValueError) as error:
        reason = getattr(error, 'reason', error)
    raise MissingWeightsError(f'{repository} is not in the cache and {endpoint} cannot be reached ({reason})')
