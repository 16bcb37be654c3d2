"""OpenAI's CLIP archives: where they lie, where they come from, and whether they are whole."""
import hashlib
import http.client
import os
import urllib.request
from dataclasses import dataclass
from pathlib import Path

from mmengine.dist import barrier, get_rank
from mmengine.logging import print_log

from mmpartref.models.weights.key_report import MissingWeightsError, WeightsError

# A folder that holds archives under their published file names.
FOLDER_VARIABLE = 'MMPARTREF_CLIP_DIR'
# Where OpenAI's own package keeps them, so that nobody downloads twice.
CACHE = Path('~/.cache/clip')
HOST = 'https://openaipublic.azureedge.net/clip/models'
CHUNK = 1 << 20
TIMEOUT = 30


@dataclass(frozen=True)
class CLIPArchive:
    """One of OpenAI's archives. ``size`` in bytes; the SHA-256 is part of its address."""
    file_name: str
    sha256: str
    size: int

    @property
    def url(self) -> str:
        return f'{HOST}/{self.sha256}/{self.file_name}'


# Source of the addresses: openai/CLIP, clip/clip.py.
ARCHIVES = {
    'RN50': CLIPArchive('RN50.pt', 'afeb0e10f9e5a86da6080e35cf09123aca3b358a0c3e3b6c78a7b63bc04b6762', 255827503),
    'RN101': CLIPArchive('RN101.pt', '8fa8567bab74a42d41c5915025a8e4538c3bdbe8804a470a72f30b0d94fab599', 291791292),
    'RN50x4': CLIPArchive('RN50x4.pt', '7e526bd135e493cef0776de27d5f42653e6b4c8bf9e0f653bb11773263205fdd', 421854225),
    'RN50x16': CLIPArchive('RN50x16.pt', '52378b407f34354e150460fe41077663dd5b39c54cd0bfd2b27167a4a06ec9aa', 661125706),
    'RN50x64': CLIPArchive('RN50x64.pt', 'be1cfb55d75a9666199fb2206c106743da0f6468c9d327f3e0d0a543a9919d9c',
                           1353500174),
    'ViT-B/32': CLIPArchive('ViT-B-32.pt', '40d365715913c9da98579312b702a82c18be219cc2a73407c4526f58eba950af',
                            353976522),
    'ViT-B/16': CLIPArchive('ViT-B-16.pt', '5806e77cd80f8b59890b7e101eabd078d9fb84e6937f9e85e4ecb61988df416f',
                            350837078),
    'ViT-L/14': CLIPArchive('ViT-L-14.pt', 'b8cca3fd41ae0c99ba7e8951adf17d267cdb84cd88be6f7c2e0eca1737a03836',
                            932768134),
}


def locate_clip(checkpoint: str | Path) -> Path:
    """Return the file of a CLIP checkpoint.

    Args:
        checkpoint: a path, in which ``~`` and ``$VARIABLES`` are expanded, or the name of one of OpenAI's archives
            (``'RN50'``). A name is looked for in the folder that ``MMPARTREF_CLIP_DIR`` names, then in
            ``~/.cache/clip``, then fetched into the latter.

    Raises:
        MissingWeightsError: it is nowhere, and cannot be fetched; the message says where to put it.
        WeightsError: what was found or fetched is not the published archive.
    """
    if str(checkpoint) not in ARCHIVES:
        path = Path(os.path.expandvars(str(checkpoint))).expanduser()
        if not path.is_file():
            raise MissingWeightsError(f'there is no CLIP checkpoint {path}; give the path of a file, or one of '
                                    f"{', '.join(ARCHIVES)}")
        return path
    archive = ARCHIVES[str(checkpoint)]
    cached = CACHE.expanduser() / archive.file_name
    folder = os.environ.get(FOLDER_VARIABLE)
    for path in ([Path(folder).expanduser() / archive.file_name] if folder else []) + [cached]:
        if path.is_file():
            check_archive(path, archive)
            return path
    _fetch_once(archive, cached)
    return cached


def _fetch_once(archive: CLIPArchive, target: Path) -> None:
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


def check_archive(path: Path, archive: CLIPArchive) -> None:
    """Compare a file with the published size and SHA-256.

    Raises:
        WeightsError: it differs.
    """
    size = path.stat().st_size
    digest = hashlib.sha256()
    if size == archive.size:
        with path.open('rb') as file:
            while chunk := file.read(CHUNK):
                digest.update(chunk)
    if size != archive.size or digest.hexdigest() != archive.sha256:
        found = f'its SHA-256 is {digest.hexdigest()}' if size == archive.size else f'it has {size:,} bytes'
        raise WeightsError(f'{path} is not the published {archive.file_name} ({archive.size:,} bytes, SHA-256 '
                           f'{archive.sha256}): {found}; delete it and fetch {archive.url}, or give the path of your '
                           'own checkpoint instead of the name')


def fetch(archive: CLIPArchive, target: Path) -> None:
    """Download an archive, continuing where an earlier attempt stopped; ``target`` appears only when it is whole.

    Raises:
        MissingWeightsError: the network does not give it.
        WeightsError: what came is not the published archive.
    """
    partial = target.with_name(target.name + '.partial')
    print_log(f'fetching {archive.url} ({archive.size / 2**20:.0f} MiB) to {target}', 'current')
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if not partial.is_file() or partial.stat().st_size < archive.size:
            _download(archive.url, partial)
        size = partial.stat().st_size
        if size < archive.size:
            raise ConnectionError(f'cut off after {size:,} of {archive.size:,} bytes, which are kept: try again')
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, 'reason', error)
        raise MissingWeightsError(
            f'{archive.file_name} is not on this machine and could not be fetched ({reason}): download {archive.url} '
            f'elsewhere and put it at {target}, or into a folder that ${FOLDER_VARIABLE} names') from None
    try:
        check_archive(partial, archive)
    except WeightsError:
        # Whole and still wrong: continuing it would never end well.
        partial.unlink()
        raise WeightsError(f'what came from {archive.url} is not the published archive (its SHA-256 differs) and was '
                           'deleted: try again, or fetch it another way') from None
    partial.replace(target)


def _download(url: str, partial: Path) -> None:
    start = partial.stat().st_size if partial.is_file() else 0
    request = urllib.request.Request(url, headers={'Range': f'bytes={start}-'} if start else {})
    with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
        # A server that knows no ranges answers 200 and starts from the beginning.
        mode = 'ab' if start and response.status == 206 else 'wb'
        with partial.open(mode) as file:
            while chunk := response.read(CHUNK):
                file.write(chunk)
