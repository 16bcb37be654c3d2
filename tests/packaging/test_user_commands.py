"""What users of OpenMMLab type by habit, with the wheel installed, in a folder that is not a checkout."""
from pathlib import Path

import pytest
import torch
from environments import Environment

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures('openmim')]

TINY, INSIDE = 'cris_tiny_toyparts', 'cris_r101_partimagenet'
DATA = ('--data-root', 'toy')
SHORT = ('train_cfg.max_epochs=1', 'train_cfg.val_interval=1', 'train_dataloader.num_workers=0',
         'train_dataloader.persistent_workers=False', 'val_dataloader.num_workers=0',
         'val_dataloader.persistent_workers=False')
BACKBONE = '''
from mmengine.model import BaseModule
from torch import nn

from mmpartref.registry import MODELS


@MODELS.register_module()
class ThreeConvs(BaseModule):
    out_channels = (8, 16, 32)

    def __init__(self):
        super().__init__()
        self.c3 = nn.Conv2d(3, 8, 8, stride=8)
        self.c4 = nn.Conv2d(8, 16, 2, stride=2)
        self.c5 = nn.Conv2d(16, 32, 2, stride=2)

    def forward(self, images):
        c3 = self.c3(images)
        c4 = self.c4(c3)
        return c3, c4, self.c5(c4)
'''
CONFIG = f'''
_base_ = 'mmpartref::toyparts/../{TINY}.py'
custom_imports = dict(imports=['my_backbone'])
custom_hooks = [dict(type='EMAHook', momentum=0.0002)]
model = dict(backbone=dict(_delete_=True, type='ThreeConvs'))
'''
SCRIPT = f'''
import mmpartref
from mmengine.config import Config
from mmengine.hub import get_config, get_model
from mmpartref.apis import PartReferInferencer

print(Config.fromfile('inherited.py').train_cfg.max_epochs, Config.fromfile('inherited.py').model.backbone.layers)
print(get_config('mmpartref::cris/{INSIDE}.py').model.type)
print(type(get_model('mmpartref::toyparts/../{TINY}.py')).__name__)
(part, ) = PartReferInferencer('{TINY}', 'run/epoch_1.pth')('image.jpg', ['car tire'])
print(part['expression'], part['mask'].dtype)
'''


class Project:
    """A user's folder with a drawn dataset of a few images, and an environment to run commands in it."""

    def __init__(self, environment: Environment, folder: Path) -> None:
        self.environment, self.folder = environment, folder
        self.mim('run', 'mmpartref', 'make_toyparts', 'toy', '--train', '6', '--val', '3', '--test', '3')
        image = next((folder / 'toy/images/test').rglob('*.JPEG'))
        (folder / 'image.jpg').write_bytes(image.read_bytes())
        (folder / 'my_backbone.py').write_text(BACKBONE)
        (folder / 'mine.py').write_text(CONFIG)
        (folder / 'inherited.py').write_text(
            f"_base_ = 'mmpartref::cris/{INSIDE}.py'\ntrain_cfg = dict(max_epochs=3)\n")

    def mim(self, *arguments: str) -> str:
        return self.python('-m', 'mim', *arguments)

    def python(self, *arguments: str) -> str:
        return self.environment.run(*arguments, cwd=self.folder)

    def weights(self, file: str) -> dict:
        return torch.load(self.folder / file, weights_only=True)


@pytest.fixture(scope='module')
def project(from_wheel: Environment, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """With a checkpoint of a training of one epoch."""
    started = Project(from_wheel, tmp_path_factory.mktemp('project'))
    shown = started.mim('train', 'mmpartref', f'{TINY}.py', '--gpus', '0', *DATA, '--work-dir', 'run',
                        '--cfg-options', *SHORT)
    assert str(from_wheel.packages / 'mmpartref/.mim/tools/train.py') in shown
    assert 'refer/mIoU' in shown
    assert 'Training finished successfully' in shown
    return started


def test_mim_tests_a_checkpoint_and_scores_its_dump(project: Project) -> None:
    shown = project.mim('test', 'mmpartref', f'configs/{TINY}.py', '--checkpoint', 'run/epoch_1.pth', '--gpus', '0',
                        *DATA, '--work-dir', 'run', '--dump', 'dump.json', '--cfg-options',
                        'test_dataloader.num_workers=0')
    assert 'refer/mIoU' in shown
    assert 'Testing finished successfully' in shown
    assert 'per expression' in project.mim('run', 'mmpartref', 'evaluate', 'dump.json')


def test_mim_trains_a_config_with_the_users_backbone_and_hook(project: Project) -> None:
    shown = project.mim('train', 'mmpartref', 'mine.py', '--gpus', '0', *DATA, '--cfg-options', *SHORT)
    assert 'Training finished successfully' in shown
    checkpoint = project.weights('work_dirs/mine/epoch_1.pth')
    assert 'backbone.c5.weight' in checkpoint['state_dict']
    assert 'module.backbone.c5.weight' in checkpoint['ema_state_dict']


def test_mim_runs_the_tools(project: Project) -> None:
    project.mim('run', 'mmpartref', 'infer', 'image.jpg', 'car tire', 'bird wing', '--config', f'configs/{TINY}.py',
                '--checkpoint', 'run/epoch_1.pth')
    assert (project.folder / 'outputs/image_0_car-tire.png').is_file()
    assert (project.folder / 'outputs/image_overlay.png').is_file()
    project.mim('run', 'mmpartref', 'browse_dataset', 'mine.py', *DATA, '--number', '2')
    assert len(list((project.folder / 'work_dirs/mine/browse/train').iterdir())) == 2
    assert 'max_epochs=3' in project.mim('run', 'mmpartref', 'print_config', 'inherited.py')


def test_mim_lists_and_fetches_configs(project: Project) -> None:
    shown = project.mim('search', 'mmpartref')
    assert TINY in shown
    assert 'https://arxiv.org/abs/2111.15174' in shown
    project.mim('download', 'mmpartref', '--config', INSIDE, '--dest', '.')
    fetched = project.folder / f'{INSIDE}.py'
    assert 'embed_channels=512' in project.mim('run', 'mmpartref', 'print_config', fetched.name)


def test_a_script_uses_configs_of_the_package(project: Project) -> None:
    shown = project.python('-c', SCRIPT)
    assert [line for line in shown.splitlines() if ' - INFO - ' not in line][-4:] == [
        '3 (3, 4, 23, 3)', 'ReferringSegmentor', 'ReferringSegmentor', 'car tire bool']


def test_the_demo_is_a_module(project: Project) -> None:
    assert '--checkpoint' in project.python('-m', 'mmpartref.demo', '--help')
