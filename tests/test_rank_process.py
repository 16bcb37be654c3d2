"""Both ways to start two ranks."""
import pytest
from mmengine.dist import get_rank, get_world_size


def place() -> tuple[int, int]:
    return get_rank(), get_world_size()


@pytest.mark.parametrize('method', ['fork', pytest.param('spawn', marks=pytest.mark.slow)])
def test_each_process_knows_its_rank(method, on_ranks, tmp_path):
    """Tests on a GPU spawn their processes, which import the helper and the job again."""
    assert on_ranks(tmp_path, place, method=method) == [(0, 2), (1, 2)]
