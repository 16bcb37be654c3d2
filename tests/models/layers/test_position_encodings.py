import torch
import torch.nn.functional as F

from mmpartref.models.layers.position_encodings import resize_positions
from mmpartref.registry import MODELS

ROUNDING = {'rtol': 1e-4, 'atol': 1e-5}


def test_the_native_grid_is_left_as_it_is():
    table = torch.randn(12, 5)
    assert resize_positions(table, (3, 4), (3, 4)) is table


def test_a_square_becomes_a_rectangle_row_by_row():
    table = torch.randn(9, 5)
    resized = resize_positions(table, (3, 3), (2, 7))
    maps = F.interpolate(table.T.reshape(1, 5, 3, 3), size=(2, 7), mode='bicubic', align_corners=False)
    torch.testing.assert_close(resized.reshape(2, 7, 5), maps[0].permute(1, 2, 0))


def test_a_gradient_along_rows_stays_one():
    rows = torch.arange(4.0)[:, None].expand(4, 4).reshape(16, 1)
    resized = resize_positions(rows, (4, 4), (8, 6)).reshape(8, 6)
    assert (resized.diff(dim=0) > 0).all()
    torch.testing.assert_close(resized, resized[:, :1].expand(8, 6))


def test_an_image_of_another_shape_uses_a_resized_table_and_the_same_class_token():
    vit = MODELS.build(dict(type='CLIPVisionTransformer', patch_size=16, width=32, layers=1, num_heads=2,
                            embed_channels=24, pretrain_grid=3)).eval()
    image = torch.randn(1, 3, 50, 75)
    with torch.no_grad():
        tokens, size = vit.tokenise(image)
        assert tokens.shape == (1, 1 + size[0] * size[1], 32)
        torch.testing.assert_close(tokens[0, 0], vit.ln_pre(vit.class_embedding + vit.positional_embedding[0]),
                                   **ROUNDING)
        vit.positional_embedding[1:] += torch.randn(9, 32)
        moved = vit.tokenise(image)[0]
        torch.testing.assert_close(moved[0, 0], tokens[0, 0], **ROUNDING)
        assert not torch.isclose(moved[0, 1:], tokens[0, 1:], **ROUNDING).all(dim=1).any()
