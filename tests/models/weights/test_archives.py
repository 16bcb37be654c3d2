import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import huggingface_hub
import pytest
import torch

from mmpartref.errors import MissingWeightsError, WeightsError
from mmpartref.models.weights import archives
from mmpartref.models.weights.archives import Archive, check_hub_access, fetch, locate_clip, locate_url

CONTENT = bytes(range(256)) * 40
SHA = hashlib.sha256(CONTENT).hexdigest()


@dataclass
class Server:
    """The files that the test's host serves, and the requests it got."""
    content: bytes = CONTENT
    ranges: bool = True
    cut: int | None = None
    requests: list[tuple[str, str | None]] = field(default_factory=list)
    host: str = ''
    archive: Archive | None = None


@pytest.fixture
def server(monkeypatch, tmp_path) -> Iterator[Server]:
    """A host on this machine in place of OpenAI's, a cache in place of the user's."""
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):

        def do_GET(self) -> None:
            byte_range = self.headers.get('Range')
            state.requests.append((self.path, byte_range))
            start = int(byte_range.removeprefix('bytes=').rstrip('-')) if byte_range and state.ranges else 0
            body = state.content[start:]
            self.send_response(206 if start else 200)
            self.send_header('Content-Length', str(len(body)))
            self.end_headers()
            self.wfile.write(body[:state.cut])

        def log_message(self, *args: object) -> None:
            pass

    httpd = http.server.HTTPServer(('127.0.0.1', 0), Handler)
    # shutdown() waits for up to one interval.
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01, ), daemon=True)
    thread.start()
    state.host = f'http://127.0.0.1:{httpd.server_port}/clip'
    state.archive = Archive(f'{state.host}/{SHA}/RN50.pt', SHA, len(CONTENT))
    monkeypatch.setattr(archives, 'CLIP_CACHE', tmp_path / 'cache')
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setitem(archives.CLIP_ARCHIVES, 'RN50', state.archive)
    monkeypatch.delenv(archives.FOLDER_VARIABLE, raising=False)
    yield state
    httpd.shutdown()
    httpd.server_close()


def test_a_name_is_fetched_once_then_found(server, tmp_path):
    path = locate_clip('RN50')
    assert path == tmp_path / 'cache' / 'RN50.pt'
    assert path.read_bytes() == CONTENT
    assert locate_clip('RN50') == path
    assert server.requests == [(f'/clip/{SHA}/RN50.pt', None)]
    assert [each.name for each in path.parent.iterdir()] == ['RN50.pt']


@pytest.mark.parametrize('ranges', [True, False])
def test_a_download_that_was_cut_off_is_continued(server, tmp_path, ranges):
    server.cut, server.ranges = 3000, ranges
    with pytest.raises(FileNotFoundError, match=r'cut off after [\d,]+ of [\d,]+ bytes|could not be fetched'):
        locate_clip('RN50')
    assert not (tmp_path / 'cache' / 'RN50.pt').exists()
    assert (tmp_path / 'cache' / 'RN50.pt.partial').read_bytes() == CONTENT[:3000]
    server.cut = None
    assert locate_clip('RN50').read_bytes() == CONTENT
    assert server.requests[1][1] == 'bytes=3000-'
    assert not (tmp_path / 'cache' / 'RN50.pt.partial').exists()


def test_a_whole_partial_file_is_not_fetched_again(server, tmp_path):
    (tmp_path / 'cache').mkdir()
    (tmp_path / 'cache' / 'RN50.pt.partial').write_bytes(CONTENT)
    assert locate_clip('RN50').read_bytes() == CONTENT
    assert server.requests == []


def test_other_content_than_the_published_archive_is_rejected(server, tmp_path, monkeypatch):
    server.content = CONTENT[::-1]
    with pytest.raises(WeightsError, match=r'is not the published file .* deleted: try again'):
        locate_clip('RN50')
    assert list((tmp_path / 'cache').iterdir()) == []
    folder = tmp_path / 'mine'
    folder.mkdir()
    (folder / 'RN50.pt').write_bytes(CONTENT[:-1])
    monkeypatch.setenv('MMPARTREF_WEIGHTS_DIR', str(folder))
    with pytest.raises(WeightsError, match=re.escape(f'it has {len(CONTENT) - 1:,} bytes')):
        locate_clip('RN50')
    (folder / 'RN50.pt').write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match=r'its SHA-256 is [0-9a-f]{64}; delete it'):
        locate_clip('RN50')
    (folder / 'RN50.pt').write_bytes(CONTENT)
    assert locate_clip('RN50') == folder / 'RN50.pt'
    assert len(server.requests) == 1


def test_paths_expand_variables_and_a_missing_one_is_named(server, tmp_path, monkeypatch):
    (tmp_path / 'custom.pt').write_bytes(b'any')
    monkeypatch.setenv('WEIGHTS', str(tmp_path))
    assert locate_clip('$WEIGHTS/custom.pt') == tmp_path / 'custom.pt'
    with pytest.raises(FileNotFoundError, match=r'no CLIP checkpoint .*none\.pt; give the path of a file'):
        locate_clip('$WEIGHTS/none.pt')
    assert server.requests == []


def test_an_unwritable_cache_is_reported(server, tmp_path):
    (tmp_path / 'cache').write_text('a file where the folder should be')
    with pytest.raises(FileNotFoundError, match='could not be fetched'):
        fetch(server.archive, tmp_path / 'cache' / 'RN50.pt')


def test_a_url_has_the_start_of_its_checksum_in_its_name(server, tmp_path):
    """As torch hub's and OpenMMLab's checkpoints do; other names are not checked."""
    path = locate_url(f'{server.host}/mask_rcnn_2020-{SHA[:8]}.pth')
    assert path == tmp_path / 'hub' / 'checkpoints' / f'mask_rcnn_2020-{SHA[:8]}.pth'
    assert path.read_bytes() == CONTENT
    assert locate_url(f'{server.host}/resnet.pth').read_bytes() == CONTENT
    with pytest.raises(WeightsError, match=r'is not the published file \(its SHA-256 is'):
        locate_url(f'{server.host}/mask_rcnn-00000000.pth')
    server.cut = 100
    with pytest.raises(FileNotFoundError, match=r'cut off after 100 of 10,240 bytes|could not be fetched'):
        locate_url(f'{server.host}/other.pth')


def test_a_hub_out_of_reach_is_an_error_at_once(monkeypatch, tmp_path):
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.send_error(403)

        def log_message(self, *args):
            pass

    monkeypatch.setattr(huggingface_hub, 'try_to_load_from_cache', lambda repository, name: None)
    monkeypatch.setenv('HF_ENDPOINT', 'http://127.0.0.1:9/')
    with pytest.raises(MissingWeightsError, match=r'a/b is not in the cache and http:.* cannot be reached'):
        check_hub_access('a/b', ['model.safetensors'])
    server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
    threading.Thread(target=server.handle_request, daemon=True).start()
    monkeypatch.setenv('HF_ENDPOINT', f'http://127.0.0.1:{server.server_port}')
    check_hub_access('a/b', ['model.safetensors'])
    server.server_close()
    monkeypatch.setenv('HF_HUB_OFFLINE', '1')
    monkeypatch.setenv('HF_ENDPOINT', 'http://127.0.0.1:9')
    check_hub_access('a/b', ['model.safetensors'])
    monkeypatch.delenv('HF_HUB_OFFLINE')
    monkeypatch.setenv('HF_ENDPOINT', 'http://127.0.0.1:9')
    monkeypatch.setattr(huggingface_hub, 'try_to_load_from_cache', lambda repository, name: str(tmp_path))
    check_hub_access('a/b', ['model.safetensors'])
