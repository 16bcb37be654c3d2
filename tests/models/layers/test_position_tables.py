import torch
import torch.nn.functional as F

from mmpartref.models.layers.position_tables import resize_positions
from mmpartref.registry import MODELS


def test_the_native_grid_is_left_as_it_is():
    table = torch.randn(12, 5)
    assert resize_positions(table, (3, 4), (3, 4)) is table


def test_a_square_becomes_a_rectangle_row_by_row():
    table = torch.randn(9, 5)
    resized = resize_positions(table, (3, 3), (2, 7))
    maps = F.interpolate(table.T.reshape(1, 5, 3, 3), size=(2, 7), mode='bicubic', align_corners=False)
    assert torch.equal(resized.reshape(2, 7, 5), maps[0].permute(1, 2, 0))


def test_a_gradient_along_rows_stays_one():
    rows = torch.arange(4.0)[:, None].expand(4, 4).reshape(16, 1)
    resized = resize_positions(rows, (4, 4), (8, 6)).reshape(8, 6)
    assert (resized.diff(dim=0) > 0).all()
    torch.testing.assert_close(resized, resized[:, :1].expand(8, 6))


def test_a_photo_of_another_shape_takes_a_resized_table():
    vit = MODELS.build(dict(type='CLIPVisionTransformer', patch_size=16, width=32, layers=1, num_heads=2,
                            embed_channels=24, pretrain_grid=3)).eval()
    photo = torch.randn(1, 3, 48, 80)
    with torch.no_grad():
        before = vit(photo)[-1]
        # The class token's own position is the first; the others make the grid.
        assert vit.positional_embedding.shape == (10, 32)
        vit.positional_embedding[1:] += torch.randn(9, 32)
        assert before.shape == (1, 24, 3, 5)
        assert not torch.allclose(vit(photo)[-1], before)
