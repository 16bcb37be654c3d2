"""The default model of the demo, trained on ToyParts, and drawings to try it on."""
import json
from pathlib import Path

from mmengine.config import Config

from mmpartref.apis.model_building import spoken_part
from mmpartref.datasets.coco.records import Category, split_category
from mmpartref.datasets.toyparts.make_toyparts import make_toyparts

# Name of its config; the model index has its weights.
NAME = 'cris_tiny_toyparts'
# Folder of the dataset, in the configs of toy models.
TOYPARTS = 'toyparts'
EXAMPLES, EXAMPLE_PARTS = 6, 3


def is_toy(config: Config) -> bool:
    """Return whether the model of a config is for ToyParts, by the folder of its data."""
    root = config.test_dataloader.dataset.get('data_root') or ''
    return Path(root).name == TOYPARTS


def toy_examples(folder: Path) -> list[tuple[str, list[str]]]:
    """Draw the first scenes of ToyParts' test split into a folder; return (image file, expressions of its parts)."""
    make_toyparts(folder / TOYPARTS, splits={'train': 1, 'val': 1, 'test': EXAMPLES}, workers=1)
    toyparts = folder / TOYPARTS
    coco = json.loads((toyparts / 'annotations' / 'test' / 'test.json').read_text(encoding='utf-8'))
    spoken = {}
    for category in coco['categories']:
        name = split_category(Category(category['id'], category['name'], category['supercategory']))
        spoken[category['id']] = f'{name.super_category} {spoken_part(name.part)}'
    examples = []
    for image in coco['images']:
        shown = dict.fromkeys(spoken[each['category_id']] for each in coco['annotations']
                              if each['image_id'] == image['id'])
        examples.append((str(toyparts / 'images' / 'test' / image['file_name']), list(shown)[:EXAMPLE_PARTS]))
    return examples
