import pytest
import torch
import torch.nn.functional as F

from mmpartref.models.layers.conv_layers import CoordConv, RowBatchNorm1d, resize_to
from mmpartref.models.layers.cpu.cpu_fast_paths import disable_cpu_fast_paths
from mmpartref.models.layers.cpu.upsampled_conv import conv3x3_of_upsampled
from mmpartref.models.layers.dense_attention_pool import DenseAttentionPool
from mmpartref.models.layers.dynamic_projector import DynamicProjector
from mmpartref.models.layers.position_encodings import sine_positions_1d, sine_positions_2d
from mmpartref.models.layers.vision_language_decoder import VisionLanguageDecoderLayer
from mmpartref.models.losses import TextToPixelContrastiveLoss
from mmpartref.models.necks import CRISNeck


def test_dynamic_conv_is_the_grouped_convolution():
    projector = DynamicProjector(channels=12, sentence_channels=10)
    x, parameters = torch.randn(3, 6, 9, 7), torch.randn(3, 6 * 9 + 1)
    through = projector.conv3(x)
    expected = F.conv2d(
        through.reshape(1, 18, 9, 7), parameters[:, :-1].reshape(3, 6, 3, 3), parameters[:, -1], padding=1, groups=3)
    torch.testing.assert_close(projector.compare(x, parameters), expected.transpose(0, 1), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(('shape', 'size'), [((5, 7), (10, 14)), ((1, 3), (2, 6)), ((4, 4), (9, 7)), ((6, 6), (6, 7))])
def test_convolving_before_upsampling_changes_nothing(shape, size):
    """Values and gradients, in double precision, at borders and at sizes that are not doubled as well."""
    x = torch.randn(2, 6, *shape, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 6, 3, 3, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(4, dtype=torch.float64)
    expected = F.conv2d(F.interpolate(x, size=size, mode='bilinear', align_corners=False), weight, bias, padding=1)
    found = conv3x3_of_upsampled(x, weight, bias, size)
    torch.testing.assert_close(found, expected)
    upstream = torch.randn_like(expected)
    for one, other in zip(torch.autograd.grad(found, (x, weight), upstream),
                          torch.autograd.grad(expected, (x, weight), upstream), strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize(('shape', 'size'), [((5, 7), (10, 14)), ((1, 3), (2, 6)), ((20, 9), (40, 19))])
def test_the_cpus_way_to_convolve_before_upsampling_changes_nothing(shape, size):
    x, weight, bias = torch.randn(3, 6, *shape), torch.randn(4, 6, 3, 3), torch.randn(4)
    expected = F.conv2d(F.interpolate(x, size=size, mode='bilinear', align_corners=False), weight, bias, padding=1)
    with torch.no_grad():
        found = conv3x3_of_upsampled(x, weight, bias, size)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
        for row in range(3):
            torch.testing.assert_close(conv3x3_of_upsampled(x[row:row + 1], weight, bias, size)[0], found[row],
                                       rtol=1e-4, atol=1e-5)
        with disable_cpu_fast_paths():
            torch.testing.assert_close(conv3x3_of_upsampled(x, weight, bias, size), expected, rtol=1e-4, atol=1e-5)
        with torch.autocast('cpu', dtype=torch.bfloat16):
            torch.testing.assert_close(
                conv3x3_of_upsampled(x, weight, bias, size), expected, rtol=.1, atol=.2, check_dtype=False)


# Lateral maps of the sizes that the projector has there, and of others, which are resized.
@pytest.mark.parametrize('sizes', [[], [(8, 10)], [(8, 10), (16, 20)], [(4, 5), (20, 24)]])
@pytest.mark.parametrize('training', [False, True])
def test_the_projectors_short_cuts_change_nothing(training, sizes):
    channels = (3, 5)[:len(sizes)]
    projector = DynamicProjector(channels=12, sentence_channels=10, lateral_channels=channels).double().train(training)
    x = torch.randn(3, 12, 4, 5, dtype=torch.float64)
    sentence = torch.randn(3, 10, dtype=torch.float64)
    laterals = [torch.randn(2, width, *size, dtype=torch.float64) for width, size in zip(channels, sizes, strict=True)]
    index = torch.tensor([1, 0, 1])
    results = []
    for low_resolution in (True, False):
        projector.low_resolution = low_resolution
        projector.zero_grad()
        logits = projector(x, sentence, (16, 20), laterals, index)
        logits.square().mean().backward()
        results.append([logits, *(parameter.grad for parameter in projector.parameters())])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_a_single_row_uses_the_running_statistics_without_updating_them():
    norm = RowBatchNorm1d(4).train()
    norm.running_mean += 1
    before = norm.running_mean.clone()
    row = torch.randn(1, 4)
    torch.testing.assert_close(norm(row), (row - 1) / (1 + norm.eps)**0.5)
    assert torch.equal(norm.running_mean, before)
    norm(torch.randn(5, 4))
    assert not torch.equal(norm.running_mean, before)


def test_resize_averages_down_and_interpolates_up():
    x = torch.arange(16.).reshape(1, 1, 4, 4)
    torch.testing.assert_close(resize_to(x, (2, 2)), F.avg_pool2d(x, 2))
    torch.testing.assert_close(resize_to(x, (8, 8)),
                               F.interpolate(x, scale_factor=2, mode='bilinear', align_corners=False))
    assert resize_to(x, (4, 4)) is x


def test_coordinates_run_from_minus_one_to_one():
    layer = CoordConv(1, 2)
    seen = []
    layer.conv.register_forward_hook(lambda module, args, output: seen.append(args[0]))
    layer(torch.zeros(2, 1, 3, 5))
    assert seen[0][1, 1, 0].tolist() == [-1, -0.5, 0, 0.5, 1]
    assert seen[0][1, 2, :, 0].tolist() == [-1, 0, 1]


def test_sine_positions_by_hand():
    one = sine_positions_1d(3, 4, torch.device('cpu'), torch.float32)
    angle = torch.tensor([2.0, 2.0 / 100])
    torch.testing.assert_close(one[2], torch.stack([angle.sin(), angle.cos()], 1).flatten())
    two = sine_positions_2d(2, 3, 8, torch.device('cpu'), torch.float32).reshape(2, 3, 8)
    torch.testing.assert_close(two[1, 2], torch.cat([one[2], one[1]]))


def test_dense_pool_is_multi_head_attention_of_every_position():
    pool = DenseAttentionPool(in_channels=8, out_channels=6, num_heads=2, grid=3).eval()
    x = torch.randn(2, 8, 3, 3)
    tokens = (x.flatten(2) + pool.positional_embedding[1:].T).permute(2, 0, 1)
    attended, _ = F.multi_head_attention_forward(
        tokens, tokens, tokens, 8, 2, None, torch.cat([pool.q_proj.bias, pool.k_proj.bias, pool.v_proj.bias]), None,
        None, False, 0.0, pool.c_proj.weight, pool.c_proj.bias, training=False, use_separate_proj_weight=True,
        q_proj_weight=pool.q_proj.weight, k_proj_weight=pool.k_proj.weight, v_proj_weight=pool.v_proj.weight)
    expected = F.relu(attended.permute(1, 2, 0).reshape(2, 6, 3, 3) + pool.connect(x))
    torch.testing.assert_close(pool(x), expected, rtol=1e-4, atol=1e-5)
    assert pool(torch.randn(1, 8, 2, 5)).shape == (1, 6, 2, 5)


def test_decoder_layer_ignores_padding_words():
    layer = VisionLanguageDecoderLayer(8, 12, 2, 16, 0.0).eval()
    pixels, words = torch.randn(2, 5, 8), torch.randn(2, 4, 12)
    padding = torch.tensor([[False, False, True, True]] * 2)
    positions = torch.randn(5, 8), torch.randn(4, 12)
    first = layer(pixels, words, *positions, padding)
    words[:, 2:] = 100
    torch.testing.assert_close(layer(pixels, words, *positions, padding), first, rtol=1e-4, atol=1e-5)
    words[:, 1] = 100
    assert (layer(pixels, words, *positions, padding) - first).abs().max() > 1e-2


def test_loss_is_equations_1_and_2_averaged():
    logits, target = torch.randn(3, 1, 4, 5), (torch.rand(3, 1, 4, 5) > 0.5).float()
    inside, outside = -logits.sigmoid().log(), -(1 - logits.sigmoid()).log()
    expected = torch.where(target > 0, inside, outside).mean()
    torch.testing.assert_close(TextToPixelContrastiveLoss()(logits, target), expected)
    torch.testing.assert_close(TextToPixelContrastiveLoss(loss_weight=3.0)(logits, target), 3 * expected)


@pytest.mark.parametrize('sizes', [((8, 8), (4, 4), (2, 2)), ((5, 6), (5, 6), (5, 6)), ((2, 3), (6, 7), (9, 9))])
def test_fusing_map_by_map_changes_nothing(sizes):
    """Values and gradients; maps that are larger, equal and smaller than the middle one."""
    neck = CRISNeck(in_channels=(6, 8, 10), sentence_channels=12, out_channels=(4, 6, 8)).double()
    features = tuple(torch.randn(2, channels, *size, dtype=torch.float64)
                     for channels, size in zip((6, 8, 10), sizes, strict=True))
    sentence = torch.randn(3, 12, dtype=torch.float64)
    results = []
    for split in (True, False):
        neck.split_maps = split
        neck.zero_grad()
        fused = neck(features, sentence, torch.tensor([0, 1, 1]), torch.tensor([0, 1, 2]))
        fused.square().mean().backward()
        results.append([fused, *(parameter.grad for parameter in neck.parameters())])
    assert results[0][0].shape == (3, 6, *sizes[1])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)
