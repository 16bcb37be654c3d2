import json
import re
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.errors import MMPartRefError
from mmpartref.evaluation.comparison.compare_dumps import read_comparison
from mmpartref.evaluation.comparison.comparison_tables import significance_table
from mmpartref.evaluation.dumps.dump import PredictionDump, read_dump
from mmpartref.evaluation.dumps.predictions import Candidate, Prediction
from mmpartref.evaluation.scoring.score_dump import score_dump
from mmpartref.gallery import Options, build_gallery, thumbnails
from mmpartref.gallery.entries import draw_sample, read_entries
from mmpartref.gallery.folder import MARKER
from mmpartref.gallery.gallery_images import image_paths
from mmpartref.gallery.page_data import IN_PERCENT, describe_heat
from mmpartref.gallery.pair_comparison import pair_dumps, summarise_pairs
from mmpartref.gallery.thumbnails import difference, draw_difference, draw_prediction, fit_mask


def read_data(folder: Path, name: str) -> object:
    """Read a data script as the page does."""
    text = (folder / 'data' / f'{name}.js').read_text(encoding='ascii')
    called, content = re.fullmatch(r'Gallery\.receive\("([^"]+)",(.*)\);\n', text, re.DOTALL).groups()
    assert called == name
    return json.loads(content)


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}


def test_every_reference_resolves_and_nothing_leaves_the_folder(small_dump, tmp_path):
    built = build_gallery(small_dump(), tmp_path / 'out', against=[small_dump('other.json')])
    out = tmp_path / 'out'
    assert [page.name for page in built.pages] == ['index.html', 'compare_1.html']
    for page in built.pages:
        html = page.read_text(encoding='utf-8')
        references = re.findall(r'(?:src|href)="([^"#]+)"', html)
        assert 'assets/gallery.css' in references
        assert all((out / name).is_file() for name in references if name != 'data:,')
        content = read_data(out, re.search('data-page="([^"]+)"', html)[1])
        assert all((out / file).is_file() for file, _ in content['pages'])
        for image, item, *_ in content['entries']:
            assert (out / content['thumbs'] / f'{image}_{item}.jpg').is_file()
            assert (out / 'images' / f'{image}.jpg').is_file()
            read_data(out, f'images/{image}')
            if content['mode'] == 'comparison':
                read_data(out, f'{content["thumbs"]}/{image}')
    for path in out.rglob('*'):
        if path.suffix in ('.html', '.js', '.css'):
            text = path.read_text(encoding='utf-8').lower()
            assert not re.search(r'https?:|//[a-z]+\.|url\(|@import|fetch\(|xmlhttprequest', text), path
    assert files_in(out) == {*json.loads((out / MARKER).read_text())['files'], MARKER}


def test_expressions_are_shown_as_text(small_dump, tmp_path):
    build_gallery(small_dump(), tmp_path / 'out', options=Options(title='<b>"A" & B</b></title>'))
    page = (tmp_path / 'out/index.html').read_text(encoding='utf-8')
    assert '<title>&lt;b&gt;&quot;A&quot; &amp; B&lt;/b&gt;&lt;/title&gt;</title>' in page
    assert '<b>' not in page
    script = (tmp_path / 'out/data/index.js').read_text(encoding='ascii')
    assert '<' not in script
    assert '\u2028' in read_data(tmp_path / 'out', 'index')['entries'][1][2]['text']


def test_the_page_has_the_metrics_of_the_evaluation(small_dump, tmp_path):
    dump = read_dump(small_dump(threshold=0.25))
    build_gallery(small_dump(threshold=0.25), tmp_path / 'out')
    content = read_data(tmp_path / 'out', 'index')
    rows = score_dump(dump)
    assert [dict(zip(content['metrics'], entry[3], strict=True))['iou'] for entry in content['entries']] == \
        pytest.approx([row.score.overlap.iou for row in rows], abs=1e-6)
    assert [entry[2]['truth'] for entry in content['entries']] == [1600, 64, 200]
    assert [entry[2]['size'] for entry in content['entries']] == ['medium', 'small', 'small']
    assert content['summary'] == [['mean IoU', '25.00'], ['cumulative IoU', '62.24'], ['expressions', '3'],
                                  ['images', '2']]
    assert 'threshold 0.25' in content['models'][0]
    assert {entry[3][-1] for entry in content['entries']} <= set(content['kinds'])


def test_masks_arrive_as_they_are_in_the_dump(small_dump, tmp_path):
    dump = read_dump(small_dump())
    build_gallery(small_dump(), tmp_path / 'out')
    for number, image in enumerate(dump.images):
        for masks, each in zip(read_data(tmp_path / 'out', f'images/{number}'), image.expressions, strict=True):
            assert masks['pred'] == each.pred['counts']
            decoded = coco_mask.decode({'size': list(image.ori_shape), 'counts': masks['truth']})
            assert np.array_equal(decoded, np.max([coco_mask.decode(rle) for rle in each.truth], axis=0))
            assert 'heat' not in masks


def test_a_thumbnail_has_the_prediction_filled_and_both_masks_outlined_with_dark_rims():
    image = np.full((60, 80, 3), 100, dtype=np.uint8)
    truth, prediction = np.zeros((2, 60, 80), dtype=bool)
    truth[10:50, 10:40] = True
    prediction[10:50, 20:70] = True
    drawn = draw_prediction(image, truth, prediction)
    filled = 100 + thumbnails.ALPHA * (np.array(thumbnails.PREDICTION) - 100)
    assert np.abs(drawn[30, 60] - filled).max() <= 1
    # The truth's line is outside its left border at 10, the prediction's inside its right border at 70.
    for line, colour in (((7, 8, 9), thumbnails.TRUTH), ((68, 69, 70), thumbnails.PREDICTION)):
        assert drawn[30, line[0]].max() < 30
        assert (drawn[30, line[1]] == colour).all()
        assert drawn[30, line[2]].max() < 30
    for plain in (6, 14, 75):
        assert (drawn[30, plain] == 100).all()


def test_a_prediction_of_a_few_pixels_is_bright():
    image = np.full((60, 80, 3), 230, dtype=np.uint8)
    prediction = np.zeros((60, 80), dtype=bool)
    prediction[20:22, 30:32] = True
    drawn = draw_prediction(image, np.zeros_like(prediction), prediction)
    assert (drawn[20:22, 30:32] == thumbnails.PREDICTION).all()
    assert (drawn[20:22, [29, 32]] < 30).all()


def test_where_two_predictions_differ_each_pixel_has_one_colour():
    truth, one, other = (np.array([int(bit) for bit in bits], dtype=bool)[None]
                         for bits in ('00001111', '00110011', '01010101'))
    found = difference(truth, one, other)
    places = {colour: np.flatnonzero(mask).tolist() for colour, mask in found.items()}
    assert places == {thumbnails.BOTH_RIGHT: [7], thumbnails.PREDICTION: [1, 6], thumbnails.OTHER: [2, 5],
                      thumbnails.BOTH_WRONG: [3, 4]}
    assert len({thumbnails.TRUTH, *places}) == 5


def test_a_difference_is_drawn_over_grey():
    red = np.full((40, 40, 3), (250, 0, 0), dtype=np.uint8)
    truth, one, other = np.zeros((3, 40, 40), dtype=bool)
    one[5:15, 5:15] = True
    drawn = draw_difference(red, truth, one, other)
    assert np.ptp(drawn[30, 30]) == 0
    grey = float(drawn[30, 30, 0])
    assert np.abs(drawn[10, 10] - (grey + thumbnails.DIFFERENCE_ALPHA * (np.array(thumbnails.OTHER) - grey))).max() <= 1


def test_a_part_too_small_for_the_thumbnail_has_one_pixel():
    mask = np.zeros((400, 600), dtype=bool)
    mask[200, 300] = True
    assert 1 <= fit_mask(mask, (40, 60)).sum() <= 4
    mask[100:300, 100:300] = True
    assert fit_mask(mask, (40, 60)).sum() == 400


def test_pictures_are_reduced_to_the_given_sides_and_never_enlarged(small_dump, tmp_path):
    build_gallery(small_dump(), tmp_path / 'out', options=Options(thumbnail_side=40, image_side=500))
    assert cv2.imread(str(tmp_path / 'out/thumbs/0_1.jpg')).shape == (30, 40, 3)
    assert cv2.imread(str(tmp_path / 'out/images/0.jpg')).shape == (60, 80, 3)
    with pytest.raises(ValueError, match='thumbnail_side=0 must be at least 1'):
        build_gallery(small_dump(), tmp_path / 'out', options=Options(thumbnail_side=0))


@pytest.mark.parametrize(('arguments', 'options', 'message'), [
    ({'dump_file': 1}, {}, 'dump_file should be a string or a Path, got 1'),
    ({'out': 1}, {}, 'out should be a string or a Path, got 1'),
    ({'against': 'dump.json'}, {}, "against='dump.json' should be a list of paths"),
    ({'against': [1]}, {}, r'against\[0\] should be a string or a Path'),
    ({'options': {}}, {}, r'options=\{\} should be a Options'),
    ({}, {'images': 1}, 'images should be a string or a Path'), ({}, {'limit': 1.5}, 'limit=1.5 should be an integer'),
    ({}, {'limit': 0}, 'limit=0 must be at least 1'), ({}, {'title': 5}, 'title=5 should be a string'),
    ({}, {'image_side': True}, 'image_side=True should be an integer'),
    ({}, {'overwrite': 1}, 'overwrite=1 should be True or False'), ({}, {'names': 'a'}, "names='a' should be a list"),
    ({}, {'on_missing_image': 'drop'}, "on_missing_image='drop' is unknown"),
])
def test_wrong_arguments_raise_one_sentence(arguments, options, message, small_dump, tmp_path):
    with pytest.raises(MMPartRefError, match=message):
        build_gallery(**{'dump_file': small_dump(), 'out': tmp_path / 'out', 'options': Options(**options),
                         **arguments})
    assert not (tmp_path / 'out').exists()


def test_paths_and_numpy_numbers_are_right(small_dump, tmp_path):
    dump = Path(small_dump())
    built = build_gallery(dump, str(tmp_path / 'out'), against=(dump, ), options=Options(
        names=('one', 'two'), limit=np.int64(1), thumbnail_side=np.int32(40), overwrite=np.False_))
    assert built.expressions == 1


def with_candidates(dump: PredictionDump, *scores: list[float] | None) -> PredictionDump:
    """Give the expressions, in order, candidates of these scores."""
    left = list(scores)
    images = []
    for image in dump.images:
        expressions = [replace(each, candidates=None if wanted is None else [Candidate(s, each.pred) for s in wanted])
                       for each, wanted in zip(image.expressions, left, strict=False)]
        left = left[len(expressions):]
        images.append(replace(image, expressions=expressions))
    return PredictionDump(dump.header, images)


def test_the_page_describes_its_heat_maps(small_dump):
    dump = read_dump(small_dump())
    none = describe_heat(dump)
    assert none['kind'] == 'none'
    assert 'No heat map' in none['missing']
    assert '--candidates' in none['missing']
    levels = describe_heat(with_candidates(dump, [0.9, 0.5, 0.1], [0.9, 0.5, 0.1], [0.9, 0.5, 0.1]))
    assert (levels['kind'], levels['levels'], levels['missing']) == ('levels', [0.1, 0.5, 0.9], '')
    assert '10, 50, 90 percent' in levels['note']
    instances = describe_heat(with_candidates(dump, [0.9], [], [0.8, 0.3]))
    assert (instances['kind'], instances['levels']) == ('instances', [])
    some = describe_heat(with_candidates(dump, [0.9, 0.5], None, [0.9, 0.5]))
    assert some['kind'] == 'levels'
    assert '1 of 3' in some['missing']
    detector = PredictionDump({'resolver': 'text'}, with_candidates(dump, *[[0.9, 0.5]] * 3).images)
    assert describe_heat(detector)['kind'] == 'instances'


def test_candidates_arrive_with_their_scores(small_dump, world, tmp_path):
    dump = with_candidates(read_dump(small_dump()), [0.9, 0.5], [0.9, 0.5], [0.9, 0.5])
    dump.write(world.root / 'heat.json')
    build_gallery(str(world.root / 'heat.json'), tmp_path / 'out')
    assert [score for score, _ in read_data(tmp_path / 'out', 'images/1')[0]['heat']] == [0.9, 0.5]


def test_a_missing_image_is_named_or_skipped_and_counted(small_dump, world, tmp_path):
    dump = small_dump()
    gone = world.images / 'val/1.jpg'
    gone.unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(f'1 of 2 images do not exist, the first is {gone}')):
        build_gallery(dump, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
    built = build_gallery(dump, tmp_path / 'out', options=Options(on_missing_image='skip'))
    assert (built.expressions, built.images, built.skipped_expressions, built.skipped_images) == (2, 1, 1, 1)
    content = read_data(tmp_path / 'out', 'index')
    assert len(content['entries']) == 2
    assert content['notes'] == [IN_PERCENT, 'Without a card because the image is missing: 1 expression of 1 image.']
    (world.images / 'val/0.jpg').unlink()
    with pytest.raises(FileNotFoundError, match='2 of 2 images'):
        build_gallery(dump, tmp_path / 'out', options=Options(on_missing_image='skip'))


def test_an_image_of_another_size_is_rejected_and_the_old_gallery_stays(small_dump, world, tmp_path):
    dump = small_dump()
    build_gallery(dump, tmp_path / 'out')
    before = {name: (tmp_path / 'out' / name).read_bytes() for name in files_in(tmp_path / 'out')}
    cv2.imwrite(str(world.images / 'val/1.jpg'), np.zeros((30, 80, 3), dtype=np.uint8))
    with pytest.raises(ValueError, match=r'1\.jpg .*is 30 x 80 pixels .* but the dump has 60 x 80'):
        build_gallery(dump, tmp_path / 'out', options=Options(title='new'))
    assert {name: (tmp_path / 'out' / name).read_bytes() for name in files_in(tmp_path / 'out')} == before
    assert not list(tmp_path.glob('.out*'))


def test_images_are_found_below_another_root_with_their_folders(small_dump, tmp_path):
    first, second = read_dump(small_dump()).images
    images = [replace(first, img_path='/gone/images/val/a/x.jpg'), replace(second, img_path='/gone/images/val/b/x.jpg')]
    root = tmp_path / 'moved'
    for name in ('a/x.jpg', 'b/x.jpg', 'x.jpg'):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()
    assert image_paths(images, root) == [root / 'a/x.jpg', root / 'b/x.jpg']
    # One is missing: the image of the same name in another place must not replace it.
    (root / 'b/x.jpg').unlink()
    assert image_paths(images, root) == [root / 'a/x.jpg', root / 'b/x.jpg']
    assert image_paths(images, None) == [Path('/gone/images/val/a/x.jpg'), Path('/gone/images/val/b/x.jpg')]
    assert image_paths(images, tmp_path / 'moved/a') == [root / 'a/a/x.jpg', root / 'a/b/x.jpg']
    with pytest.raises(NotADirectoryError, match='nowhere is not a folder'):
        image_paths(images, tmp_path / 'nowhere')
    with pytest.raises(ValueError, match='the dump has no path of the image with img_id 0'):
        image_paths([replace(first, img_path='')], None)


def test_a_folder_with_other_files_is_left_alone(small_dump, tmp_path):
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'thesis.txt').write_text('mine')
    with pytest.raises(FileExistsError, match='has files but no gallery'):
        build_gallery(small_dump(), out)
    assert files_in(out) == {'thesis.txt'}
    build_gallery(small_dump(), out, options=Options(overwrite=True))
    assert (out / 'thesis.txt').read_text() == 'mine'
    assert (out / 'index.html').is_file()
    with pytest.raises(NotADirectoryError, match=r'thesis\.txt is a file'):
        build_gallery(small_dump(), out / 'thesis.txt')


def test_a_new_gallery_replaces_the_old_one_and_nothing_else(small_dump, tmp_path):
    out = tmp_path / 'out'
    outside = tmp_path / 'outside.txt'
    outside.write_text('mine')
    build_gallery(small_dump(), out, against=[small_dump('other.json')])
    (out / 'images/mine.jpg').touch()
    manifest = json.loads((out / MARKER).read_text())
    (out / MARKER).write_text(json.dumps({**manifest, 'files': [*manifest['files'], '../outside.txt', str(outside)]}))
    build_gallery(small_dump(), out, options=Options(limit=1))
    assert outside.read_text() == 'mine'
    assert (out / 'images/mine.jpg').is_file()
    assert not (out / 'compare_1.html').exists()
    assert not (out / 'compare_1').exists()
    assert files_in(out) == {*json.loads((out / MARKER).read_text())['files'], MARKER, 'images/mine.jpg'}


def test_a_limit_draws_the_same_expressions_every_time(small_dump, tmp_path):
    images = read_entries(read_dump(small_dump()))

    def keys(limit: int | None, seed: int = 0) -> list[str]:
        return [entry.prediction.ref_id for each in draw_sample(images, limit, seed) for entry in each.entries]

    assert keys(None) == keys(3) == keys(99) == ['0:1', '0:2', '1:3']
    assert keys(2) == keys(2)
    assert {tuple(keys(2, seed)) for seed in range(20)} == {('0:1', '0:2'), ('0:1', '1:3'), ('0:2', '1:3')}
    with pytest.raises(ValueError, match='--limit is 0'):
        keys(0)
    build_gallery(small_dump(), tmp_path / 'out', options=Options(limit=2))
    content = read_data(tmp_path / 'out', 'index')
    assert content['notes'] == [
        IN_PERCENT, 'The cards show 2 of 3 expressions, drawn at random; the numbers above are for all.']
    assert dict(content['summary'])['expressions'] == '3'


def test_two_models_are_paired_in_any_order(small_dump, world, tmp_path):
    dump = read_dump(small_dump())
    first, second = dump.images
    perfect = replace(second, expressions=[replace(each, pred=each.truth[0], truth=each.truth[::-1])
                                           for each in second.expressions])
    PredictionDump({}, [perfect, replace(first, expressions=first.expressions[::-1])]).write(world.root / 'b.json')
    images = read_entries(dump)
    versus = pair_dumps(images, 'a', read_dump(world.root / 'b.json'), 'b', 'B')
    assert summarise_pairs(images, versus) == {'expressions': 3, 'mIoU': [0.25, pytest.approx((0.75 + 0.5) / 3)],
                                                'first': 0, 'equal': 2, 'second': 1}
    build_gallery(small_dump(), tmp_path / 'out', against=[str(world.root / 'b.json')])
    content = read_data(tmp_path / 'out', 'compare_1')
    assert [(entry[3][0], entry[4][0]) for entry in content['entries']] == [(0.75, 0.75), (0, 0), (0, 0.5)]
    assert read_data(tmp_path / 'out', 'compare_1/0')[1]['pred'] == first.expressions[1].pred['counts']


def test_the_difference_is_that_of_the_table(small_dump, world, tmp_path):
    dump = read_dump(small_dump())
    perfect = [replace(image, expressions=[replace(each, pred=each.truth[0]) for each in image.expressions])
               for image in dump.images]
    PredictionDump({}, perfect).write(world.root / 'good.json')
    files = [small_dump(), str(world.root / 'good.json')]
    comparison = read_comparison(files)
    table = significance_table(comparison, comparison.resample(resamples=10))
    metric, first, second, difference = table.rows[0][:4]
    assert (metric, round(difference.value, 2)) == ('mIoU', -0.58)
    build_gallery(files[0], tmp_path / 'out', against=files[1:])
    content = read_data(tmp_path / 'out', 'compare_1')
    assert dict(content['summary'])[f'difference, {first} minus {second}'] == f'{100 * difference.value:.2f}'
    assert f'Differences in IoU are first minus second: {first} minus {second}.' in content['notes']


def test_dumps_of_different_refs_are_rejected_in_one_sentence(small_dump, world, tmp_path):
    dump = read_dump(small_dump())
    PredictionDump({}, dump.images[:1]).write(world.root / 'less.json')
    with pytest.raises(ValueError, match=r"less\.json lacks 1 refs of .*dump\.json .* 1:3;"):
        build_gallery(small_dump(), tmp_path / 'out', against=[str(world.root / 'less.json')])
    twice = [replace(dump.images[0], expressions=dump.images[0].expressions[:1] * 2)]
    PredictionDump({}, twice).write(world.root / 'twice.json')
    with pytest.raises(ValueError, match='twice'):
        build_gallery(str(world.root / 'twice.json'), tmp_path / 'out', against=[str(world.root / 'twice.json')])
    assert not (tmp_path / 'out').exists()


def test_a_model_with_other_expressions_is_paired_by_ref_and_the_page_notes_it(small_dump, world, tmp_path):
    dump = read_dump(small_dump())
    blind = [replace(image, expressions=[replace(each, expression='part') for each in image.expressions])
             for image in dump.images]
    PredictionDump({}, blind).write(world.root / 'blind.json')
    build_gallery(small_dump(), tmp_path / 'out', against=[str(world.root / 'blind.json')])
    content = read_data(tmp_path / 'out', 'compare_1')
    assert content['notes'][2:] == ['blind has different expressions, paired by ref_id: 3 expressions.']
    assert [entry[2]['other_text'] for entry in content['entries']] == ['part'] * 3


@pytest.fixture
def tool(run_tool) -> Callable[..., str]:
    return partial(run_tool, 'gallery')


def test_the_tool_prints_what_it_made_and_fails_with_one_sentence(tool, small_dump, world, tmp_path):
    dump, out = small_dump(), tmp_path / 'out'
    assert tool(dump, '--out', out) == f'3 expressions of 2 images -> {out}/index.html\n'
    (world.images / 'val/1.jpg').unlink()
    printed = tool(dump, '--out', out, '--on-missing-image', 'skip')
    assert printed.startswith('skipped: 1 expression of 1 missing image\n2 expressions of 1 image ')
    with pytest.raises(SystemExit, match=r'^1 of 2 images do not exist, the first is [^\n]*1\.jpg'):
        tool(dump, '--out', out, '--images', world.images)
    with pytest.raises(SystemExit, match=r'there is no dump'):
        tool(tmp_path / 'none.json', '--out', out)


def absent_part(truth_of: Prediction, ref_id: str, pred: dict) -> Prediction:
    return replace(truth_of, ref_id=ref_id, expression='car sail', part='sail', ann_ids=[], truth=[], pred=pred,
                   absent='impossible', presence=0.2)


@pytest.fixture
def absent_dump(small_dump, world) -> str:
    """The small dump and two absent parts: one false positive, one predicted empty."""
    first, second = read_dump(small_dump()).images
    body, _ = first.expressions
    empty = second.expressions[0].pred
    PredictionDump({}, [replace(first, expressions=[*first.expressions, absent_part(body, '0:x', body.pred),
                                                    absent_part(body, '0:y', empty)]), second],
                   ).write(world.root / 'absent.json')
    return str(world.root / 'absent.json')


def test_absent_parts_have_cards_but_no_share_in_the_mean(absent_dump, tmp_path):
    build_gallery(absent_dump, tmp_path / 'out')
    content = read_data(tmp_path / 'out', 'index')
    assert content['summary'] == [['mean IoU', '25.00'], ['cumulative IoU', '62.24'], ['expressions', '3'],
                                  ['images', '2'], ['absent parts with an empty mask', '1 of 2']]
    rows = [(entry[2].get('absent'), dict(zip(content['metrics'], entry[3], strict=True)))
             for entry in content['entries']]
    assert [(absent, metrics['kind'], metrics['presence']) for absent, metrics in rows[2:4]] == [
        ('impossible', 'false positive', 0.2), ('impossible', 'good', 0.2)]
    assert rows[0][0] is None
    assert rows[0][1]['presence'] is None


def test_a_model_without_absent_parts_can_be_compared(absent_dump, small_dump, tmp_path):
    build_gallery(absent_dump, tmp_path / 'out', against=[small_dump('b.json'), absent_dump],
                  options=Options(names=['a', 'b', 'c']))
    less, same = read_data(tmp_path / 'out', 'compare_1'), read_data(tmp_path / 'out', 'compare_2')
    assert (len(less['entries']), len(same['entries'])) == (3, 5)
    assert less['notes'][2:] == ['Without a card because they are not in the dump of b: 2 absent parts.']
    assert dict(less['summary'])['expressions'] == dict(same['summary'])['expressions'] == '3'
    assert read_data(tmp_path / 'out', 'compare_1/0')[2:] == [None, None]
    assert not (tmp_path / 'out/compare_1/0_2.jpg').exists()


def test_a_dump_without_any_part_that_is_there_is_rejected(absent_dump, world, tmp_path):
    first = read_dump(absent_dump).images[0]
    PredictionDump({}, [replace(first, expressions=first.expressions[2:])]).write(world.root / 'none.json')
    with pytest.raises(ValueError, match='has no expression whose part is in the image'):
        build_gallery(str(world.root / 'none.json'), tmp_path / 'out')


def test_both_empty_is_counted_and_noted(small_dump, world, tmp_path):
    first, second = read_dump(small_dump()).images
    nothing = replace(second.expressions[0], ann_ids=[], truth=[])
    PredictionDump({}, [first, replace(second, expressions=[nothing])]).write(world.root / 'both.json')
    build_gallery(str(world.root / 'both.json'), tmp_path / 'out')
    assert read_data(tmp_path / 'out', 'index')['notes'] == [
        IN_PERCENT, 'If prediction and truth are both empty, the IoU counts as 1: 1 expression.']
