import json

import pytest
import torch
from mmengine.config import Config

from mmpartref.engine.launch.prediction_dump import add_instances
from mmpartref.errors import ConfigError, InputError
from mmpartref.evaluation import InstanceResults
from mmpartref.masks.iou import encode_masks


def test_instances_get_the_category_ids_of_the_json(tmp_path):
    metric = InstanceResults(out_file=tmp_path / 'out.json')
    metric.dataset_meta = {'categories': [{'id': 7, 'name': 'wheel'}, {'id': 3, 'name': 'door'}]}
    masks = torch.zeros(2, 4, 5, dtype=torch.bool)
    masks[0, :2], masks[1, :, 3:] = True, True
    found = {'labels': torch.tensor([1, 0]), 'scores': torch.tensor([0.75, 0.5]), 'masks': masks}
    none = {'labels': torch.zeros(0, dtype=torch.long), 'scores': torch.zeros(0), 'masks': torch.zeros(0, 4, 5)}
    metric.process({}, [{'img_id': 'a', 'pred_instances': found}, {'img_id': 'b', 'pred_instances': none},
                        {'img_id': 'c', 'img_path': 'c.jpg', 'expressions': [], 'skipped': 'it is damaged'}])
    assert metric.evaluate(3) == {}
    assert json.loads((tmp_path / 'out.json').read_text()) == [
        {'image_id': 'a', 'category_id': category_id, 'score': score, 'segmentation': rle}
        for category_id, score, rle in zip((3, 7), (0.75, 0.5), encode_masks(masks.numpy()), strict=True)]


def test_other_models_are_rejected(tmp_path):
    metric = InstanceResults(out_file=str(tmp_path / 'out.json'))
    with pytest.raises(InputError, match='needs a ReferringDetector; the data samples of this model have no'):
        metric.process({}, [{'img_id': 1}])
    cfg = Config({'default_scope': 'mmpartref', 'model': {'type': 'ReferringSegmentor'}, 'test_evaluator': {}})
    with pytest.raises(ConfigError, match=r'--instances is for a ReferringDetector .* ReferringSegmentor has one mask'):
        add_instances(cfg, 'out.json')
    with pytest.raises(FileNotFoundError, match='out_file'):
        InstanceResults(out_file='a\0b')
