import copy
import json
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from mmengine.config import Config
from PIL import Image
from pycocotools.coco import COCO

from mmpartref.apis import DecodedImage, PartReferInferencer
from mmpartref.apis.image_files import name_images
from mmpartref.errors import InputError, InputTypeError, MMPartRefError

EXPRESSIONS = ['car body', 'car side mirror']


@pytest.fixture
def images(image, tmp_path, monkeypatch) -> Path:
    """A folder of three images, two of one name, in the working directory."""
    monkeypatch.chdir(tmp_path)
    for number, name in enumerate(('b.png', 'left/a.png', 'right/a.png')):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(image, 9 * number, axis=1)).save(path)
    return Path('images')


def files(folder: str) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in Path(folder).rglob('*') if path.is_file()}


def test_a_folder_or_glob_gives_a_list(cris, images):
    found = cris(images, EXPRESSIONS)
    assert [each.image.name for each in found] == ['images/b.png', 'images/left/a.png', 'images/right/a.png']
    for one, other in zip(found, cris([each.image.name for each in found], EXPRESSIONS), strict=True):
        assert (one[0].mask != other[0].mask).mean() < 0.002
    assert [each.image.name for each in cris('images/**/a.png', 'car')] == ['images/left/a.png', 'images/right/a.png']
    assert [each.image.name for each in cris(Path('images/l*/a.png'), 'car')] == ['images/left/a.png']
    assert [each.size for each in cris.parse_parts('images/left', expressions=EXPRESSIONS)] == [(50, 70)]
    os.rename('images/b.png', 'images/b[1].png')
    assert cris('images/b[1].png', 'car').image.name == 'images/b[1].png'


@pytest.mark.parametrize(('path', 'message'), [
    ('empty', 'the folder empty has no image'), ('images/*.jpg', r"the glob 'images/\*\.jpg' matches no file"),
    (['images'], 'images is a folder, not an image; give its images as a list')])
def test_a_folder_or_glob_without_images_is_an_error(cris, images, path, message):
    os.mkdir('empty')
    with pytest.raises((FileNotFoundError, InputError), match=message) as caught:
        cris(path, 'car')
    assert isinstance(caught.value, MMPartRefError)


def test_the_files_are_those_of_the_results(cris, images):
    found = cris(images, EXPRESSIONS, heat_map=True, batch_size=2, out_dir='out', pred_out_dir='predictions')
    kinds = ('_0_car-body.png', '_1_car-side-mirror.png', '_0_car-body_heat.png', '_1_car-side-mirror_heat.png',
             '_overlay.png')
    assert files('out') == {stem + kind for stem in ('b', 'left/a', 'right/a') for kind in kinds}
    right = found[2]
    assert np.array_equal(np.array(Image.open('out/right/a_1_car-side-mirror.png')) > 0, right[1].mask)
    assert np.array_equal(np.array(Image.open('out/right/a_overlay.png')), np.array(right.overlay()))
    assert files('predictions') == {'predictions.json'}
    coco = COCO('predictions/predictions.json')
    assert [each['file_name'] for each in coco.loadImgs([1, 2, 3])] == ['b.png', 'left/a.png', 'right/a.png']
    (annotation, ) = coco.loadAnns(coco.getAnnIds(imgIds=3, catIds=2))
    assert np.array_equal(coco.annToMask(annotation), right[1].mask)
    assert annotation['score'] == pytest.approx(right[1].score)
    # What is in the output folder was not read again.
    assert len(cris('.', 'car', out_dir='out', pred_out_dir=Path('predictions'))) == 3


def test_each_option_writes_its_own_files_and_prints_nothing(cris, image, tmp_path, capsys):
    assert cris(image, 'car', out_dir=tmp_path / 'out')[0].expression == 'car'
    cris(image, 'car', pred_out_dir=tmp_path / 'json')
    assert files(tmp_path) == {'out/image_0_0_car.png', 'out/image_0_overlay.png', 'json/predictions.json'}
    assert capsys.readouterr() == ('', '')
    document = json.loads((tmp_path / 'json/predictions.json').read_text())
    assert document['images'] == [{'id': 1, 'file_name': 'image_0', 'width': 70, 'height': 50}]
    assert cris([], 'car', out_dir=tmp_path / 'none', pred_out_dir=tmp_path / 'json') == []
    assert json.loads((tmp_path / 'json/predictions.json').read_text())['images'] == []


def test_the_json_names_config_and_checkpoint(cris_config, cris, image, tmp_path):
    cris_config.dump(tmp_path / 'tiny.py')
    torch.save({'state_dict': cris.model.state_dict()}, tmp_path / 'tiny.pth')
    for model, weights, config in ((tmp_path / 'tiny.py', tmp_path / 'tiny.pth', str(tmp_path / 'tiny.py')),
                                   (Config(cris_config.to_dict()), None, None)):
        PartReferInferencer(model, weights, 'cpu')(image, 'car', pred_out_dir=tmp_path)
        info = json.loads((tmp_path / 'predictions.json').read_text())['info']
        assert info.pop('empty_masks') in (0, 1)
        assert info == {'description': 'predicted by mmpartref', 'config': config,
                        'checkpoint': weights and str(weights)}


def test_images_of_every_kind_have_different_names(images, image):
    paths = ['images/left/a.png', Path('images/right/a.png'), 'images/b.png', 'images/b.png']
    others = [image, torch.zeros(3, 4, 5), Image.open('images/left/a.png'), Image.new('RGB', (3, 3)),
              DecodedImage(image, 'images/b.png'), DecodedImage(image, 'frame 7'), 'https://example.org/x/c.png']
    named = name_images([*paths, *others, 'none.png', 5])
    assert [each.source for each in named] == [
        *map(str, paths), 'image_4', 'image_5', 'images/left/a.png', 'image_7', 'images/b.png', 'image_9', others[-1],
        'image_11', 'image_12']
    stems = [each.stem.as_posix() for each in named]
    assert stems == ['left/a_png', 'right/a', 'b_png', 'b_png_2', 'image_4', 'image_5', 'left/a_png_2', 'image_7',
                     'b_png_3', 'image_9', 'c', 'image_11', 'image_12']
    assert [each.stem.as_posix() for each in name_images(['', '.', '\0', 'images'])] == [
        'image_0', 'image_1', 'image_2', 'image_3']


def test_overlays_are_shown_and_returned_on_request(cris, image, monkeypatch):
    shown = []
    monkeypatch.setattr(Image.Image, 'show', lambda picture: shown.append(picture))
    assert cris(image, EXPRESSIONS).vis is None
    assert shown == []
    one, other = cris([image, image[:30]], EXPRESSIONS, show=True, return_vis=True)
    assert [each.size for each in shown] == [(70, 50), (70, 30)]
    for results, picture in zip((one, other), shown, strict=True):
        assert results.vis.dtype == np.uint8
        assert np.array_equal(results.vis, np.array(picture))
        assert np.array_equal(results.vis, np.array(results.overlay()))
    results.vis[:] = 0  # an array to draw on
    assert one[:1].vis is None
    for same in (one.copy(), copy.deepcopy(one), pickle.loads(pickle.dumps(one))):
        assert np.array_equal(same.vis, one.vis)
    assert cris(image, 'car', show=True).vis is None
    assert len(shown) == 3


def test_bgr_arrays_and_tensors_are_turned_to_rgb(inferencer, image):
    bgr = np.ascontiguousarray(image[:, :, ::-1])
    bgra = np.dstack([bgr, np.full(image.shape[:2], 255, np.uint8)])
    grey = image[:, :, 0]
    tensor = torch.from_numpy(bgr).permute(2, 0, 1)
    found = inferencer([bgr, bgra, tensor, grey], EXPRESSIONS, channel_order='bgr', batch_size=2)
    for each in found[:3]:
        assert np.array_equal(each.image.pixels, image)
        assert each.image.pixels.flags.c_contiguous
    assert np.array_equal(found[3].image.pixels, np.dstack([grey] * 3))
    (streamed, ) = inferencer.stream(iter([bgr]), EXPRESSIONS, channel_order='bgr')
    assert np.array_equal(streamed.image.pixels, image)
    assert np.array_equal(inferencer.parse_parts(bgr, expressions=EXPRESSIONS, channel_order='bgr').image.pixels, image)
    assert np.array_equal(inferencer(bgr, EXPRESSIONS, channel_order='rgb').image.pixels, bgr)


def test_bgr_is_for_arrays_and_tensors_only(cris, images, image):
    for other in ('images/b.png', 'images', Path('images/*.png'), Image.new('RGB', (3, 3)), cris.reader('images/b.png'),
                  [image, 'images/b.png']):
        with pytest.raises(InputError, match=r"^channel_order='bgr' is for arrays and tensors, .* of a \w+ is known"):
            cris(other, 'car', channel_order='bgr')


@pytest.mark.parametrize(('option', 'value', 'error'), [
    *[(name, value, InputTypeError) for name in ('show', 'return_vis') for value in (None, 1, 'yes', [True])],
    *[(name, value, InputTypeError) for name in ('out_dir', 'pred_out_dir') for value in (None, 5, True, b'x', ['x'])],
    *[(name, '\0', FileNotFoundError) for name in ('out_dir', 'pred_out_dir')],
    *[('channel_order', value, InputError) for value in ('BGR', 'rgba', None, 5, '')]])
def test_wrong_options_raise_one_sentence(cris, image, option, value, error):
    with pytest.raises(error, match=f'^{option}') as caught:
        cris(image, 'car', **{option: value})
    assert isinstance(caught.value, MMPartRefError)
    assert '\n' not in str(caught.value)


def test_inputs_are_never_overwritten(cris, images):
    os.rename('images/b.png', 'images/a_0_car.png')
    os.rename('images/left/a.png', 'images/a.png')
    before = {name: Path('images', name).read_bytes() for name in files('images')}
    named = ['images/a_0_car.png', 'images/a.png']
    for inputs in (named, 'images/*.png', [*map(Image.open, named)], [*map(cris.reader, named)]):
        with pytest.raises(InputError, match=r'a_0_car\.png is an input and would be overwritten'):
            cris(inputs, 'car', out_dir='images')
    with pytest.raises(InputError, match='images is both the image folder and the output folder'):
        cris('images', 'car', out_dir='images')
    assert {name: Path('images', name).read_bytes() for name in files('images')} == before


def test_outputs_that_cannot_be_written_are_reported_before_anything_is(cris, images, monkeypatch):
    monkeypatch.setattr(PartReferInferencer, 'predict', lambda *_: pytest.fail('it predicts'))
    Path('file').touch()
    os.makedirs('taken/predictions.json')
    for option, folder, message in (('out_dir', 'file', 'file is not a folder'),
                                    ('pred_out_dir', 'file/in', 'file is not a folder'),
                                    ('pred_out_dir', 'taken', r'taken/predictions\.json is a folder')):
        with pytest.raises(MMPartRefError, match=message):
            cris('images', 'car', **{option: folder})
    os.rename('images', 'predictions.json')
    with pytest.raises(MMPartRefError, match=r'predictions\.json is also an output in out'):
        cris('./*/b.png', 'car', out_dir='out', pred_out_dir='out')
