import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from pycocotools.coco import COCO

from mmpartref.apis import ImageResults, PartReferInferencer
from mmpartref.apis.batch.journal import Journal
from mmpartref.apis.output_files import OutputOptions
from mmpartref.files.atomic_write import atomic_write

ROOT = Path(__file__).parents[2]
EXPRESSIONS = ['car body', 'car side mirror']


@pytest.fixture(scope='module')
def model(cris, tmp_path_factory) -> list[str]:
    """--config and --checkpoint of the CRIS whose masks are neither empty nor full."""
    folder = tmp_path_factory.mktemp('model')
    (folder / 'tiny.py').write_text(
        f"_base_ = {str(ROOT / 'configs/cris_tiny_toyparts.py')!r}\n"
        f'model = dict(threshold={cris.model.decode.threshold})\n'
        "test_dataloader = dict(dataset=dict(pipeline=[dict(type='LoadImage'), dict(type='Letterbox', size=64, "
        "half_pixel=True), dict(type='PackReferringInputs')]))\n")
    torch.save({'state_dict': cris.model.state_dict()}, folder / 'tiny.pth')
    return ['--config', str(folder / 'tiny.py'), '--checkpoint', str(folder / 'tiny.pth')]


@pytest.fixture
def images(image, tmp_path) -> Path:
    """A folder of three images, two of one name."""
    folder = tmp_path / 'images'
    for number, name in enumerate(('left/a.png', 'right/a.png', 'b.jpg')):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(image, 9 * number, axis=1)).save(folder / name)
    return folder


@pytest.fixture
def infer(model, tmp_path, monkeypatch, run_script) -> Callable[..., int]:
    """Run tools/infer.py in this process and return its exit code."""
    monkeypatch.chdir(tmp_path)

    def run(*args: object, model: list[str] = model) -> int:
        with pytest.raises(SystemExit) as ended:
            run_script('infer', *args, *model)
        return ended.value.code

    return run


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob('*') if path.is_file()}


@pytest.fixture
def recorded(monkeypatch) -> list[ImageResults]:
    """All results of inferencers, to compare files and printed numbers with the outputs of the same forward passes."""
    found, results = [], PartReferInferencer.results

    def record(*args, **kwargs) -> ImageResults:
        found.append(results(*args, **kwargs))
        return found[-1]

    monkeypatch.setattr(PartReferInferencer, 'results', record)
    return found


def test_the_readmes_command(infer, recorded, cris, images, tmp_path, capsys):
    assert infer(images / 'left/a.png', *EXPRESSIONS) == 0
    assert files(tmp_path / 'outputs') == {'a_0_car-body.png', 'a_1_car-side-mirror.png', 'a_overlay.png'}
    shown = capsys.readouterr()
    (results, ) = list(recorded)
    for number, (result, expected) in enumerate(zip(results, cris(images / 'left/a.png', EXPRESSIONS), strict=True)):
        file = f"outputs/a_{number}_{result.expression.replace(' ', '-')}.png"
        written = np.array(Image.open(tmp_path / file))
        assert np.array_equal(written, result.mask * np.uint8(255))
        assert (f'#{number} {result.expression}: score {100 * result.score:.2f}, {result.mask.mean():.1%} of the image '
                f'-> {file}\n') in shown.out
        # Another forward pass: on some processors a pixel at the threshold changes.
        assert (result.mask != expected.mask).mean() < 0.002
    assert np.array_equal(np.array(Image.open(tmp_path / 'outputs/a_overlay.png')), np.array(results.overlay()))


def test_mixed_precision(infer, recorded, images, tmp_path):
    for args in ([], ['--amp']):
        assert infer(images / 'b.jpg', *EXPRESSIONS, *args, '--out-dir', f'out{len(args)}') == 0
    for plain, mixed in zip(*recorded, strict=True):
        assert mixed.score != plain.score
        assert mixed.score == pytest.approx(plain.score, abs=0.02)
        assert (mixed.mask == plain.mask).mean() > 0.9


def test_a_folder_with_everything(infer, cris, images, tmp_path, capsys):
    (tmp_path / 'lines.txt').write_text('car body\n\n  car side mirror \ncar body\n')
    assert infer(images, '--expressions-file', 'lines.txt', '--heat-maps', '--json', 'all.json', '--batch-size', 2,
                 '--out-dir', 'out', '--device', 'cpu') == 0
    kinds = ('_0_car-body.png', '_1_car-side-mirror.png', '_0_car-body_heat.png', '_1_car-side-mirror_heat.png',
             '_overlay.png')
    assert files(tmp_path / 'out') == {stem + kind for stem in ('left/a', 'right/a', 'b') for kind in kinds}
    assert '3/3' in capsys.readouterr().err
    heat = cris(images / 'right/a.png', EXPRESSIONS[1], heat_map=True)[0].heat_map
    written = np.array(Image.open(tmp_path / 'out/right/a_1_car-side-mirror_heat.png'))
    assert np.abs(written / 255 - heat).max() < 0.003
    coco = COCO('all.json')
    assert [each['name'] for each in coco.loadCats(coco.getCatIds())] == EXPRESSIONS
    names = {each['file_name']: each['id'] for each in coco.loadImgs(coco.getImgIds())}
    # Below the folder that was given, where other programs look for them.
    assert set(names) == {'left/a.png', 'right/a.png', 'b.jpg'}
    mask = np.array(Image.open(tmp_path / 'out/right/a_1_car-side-mirror.png')) > 0
    (annotation, ) = coco.loadAnns(coco.getAnnIds(imgIds=names['right/a.png'], catIds=2))
    assert np.array_equal(coco.annToMask(annotation), mask)


@pytest.mark.parametrize(('kind', 'found'), [
    ('coco', {'annotations.json'}), ('yolo', {'data.yaml', 'labels/left/a.txt', 'labels/right/a.txt', 'labels/b.txt'}),
    ('labelme', {'labelme/left/a.json', 'labelme/right/a.json', 'labelme/b.json'}),
    ('label-studio', {'label_studio.json'})])
def test_annotations_in_each_format(infer, recorded, images, tmp_path, capsys, kind, found):
    options = ['--format', kind, '--instances', 'components', '--min-area', 5, '--no-masks', '--no-overlays']
    assert infer(images, *EXPRESSIONS, *options, *([] if kind == 'coco' else ['--tolerance', 0])) == 0
    assert files(tmp_path / 'outputs') == found
    assert 'annotations -> outputs' in capsys.readouterr().out
    pieces = sum(len(each.to_yolo(EXPRESSIONS, instances='components', min_area=5)) for each in recorded)
    if kind == 'coco':
        assert len(json.loads((tmp_path / 'outputs/annotations.json').read_text())['annotations']) == pieces
    if kind == 'yolo':
        labels = (tmp_path / 'outputs/labels').rglob('*.txt')
        assert sum(len(path.read_text().splitlines()) for path in labels) == pieces
    # They may have been corrected since.
    before = {name: (tmp_path / 'outputs' / name).read_bytes() for name in found}
    assert infer(images, *EXPRESSIONS, *options) == 2
    assert 'exists already, and may have been corrected: name another folder' in capsys.readouterr().err
    assert {name: (tmp_path / 'outputs' / name).read_bytes() for name in found} == before


def test_images_are_ranked_by_doubt(infer, recorded, images, tmp_path, capsys):
    options = ['--rank', 'rank.csv', '--rewording', 'the {}', '--no-masks', '--no-overlays']
    assert infer(images, *EXPRESSIONS, *options) == 0
    lines = (tmp_path / 'rank.csv').read_text().splitlines()
    assert lines[0] == 'image,doubt,uncertain,empty,disagreement'
    assert {line.split(',')[0] for line in lines[1:]} == {'left/a.png', 'right/a.png', 'b.jpg'}
    assert '3 images, the most doubtful first -> rank.csv' in capsys.readouterr().out


def test_all_parts_of_an_object(infer, cris, images, tmp_path, capsys):
    assert infer(f'{images}/**/*.png', '--parse', 'Car', '--json', 'parts.json', '--batch-size', 4) == 0
    assert files(tmp_path / 'outputs') == {f'{side}/a_{kind}.png' for side in ('left', 'right')
                                           for kind in ('parts', 'overlay')}
    written = np.array(Image.open(tmp_path / 'outputs/left/a_parts.png'))
    expected = cris.parse_parts(images / 'left/a.png', 'car')
    assert (written != expected.labels).mean() < 0.002
    assert f'{images}/left/a.png: background ' in capsys.readouterr().out
    content = json.loads(Path('parts.json').read_text())
    assert [each['name'] for each in content['categories']] == ['car body', 'car tire', 'car side mirror']
    assert sum(each['area'] for each in content['annotations'] if each['image_id'] == 1) == (written > 0).sum()


def test_threads_change_no_output(infer, images, tmp_path, capsys):
    (images / 'a_bad.jpg').write_bytes(b'')
    outputs = []
    for threads in (1, 4):
        out = tmp_path / f'threads_{threads}'
        assert infer(images, *EXPRESSIONS, '--threads', threads, '--out-dir', out, '--heat-maps', '--json',
                     out / 'all.json', '--format', 'labelme') == 1
        shown = capsys.readouterr()
        outputs.append(({name: (out / name).read_bytes() for name in files(out)},
                        shown.out.replace(out.name, ''), shown.err[shown.err.index('failed: '):]))
    assert outputs[0] == outputs[1]
    assert len(outputs[0][0]) == 3 * 6 + 1


def test_switches_leave_files_out(infer, images, tmp_path):
    assert infer(images / 'b.jpg', 'car body', '--no-masks', '--no-overlays', '--json', 'out.json') == 0
    assert files(tmp_path / 'outputs') == set()
    assert (tmp_path / 'out.json').is_file()


def test_images_that_fail_are_listed(infer, images, tmp_path, capsys):
    (images / 'a_bad.jpg').write_bytes(b'<html>')
    (images / 'z_bad.png').write_bytes(b'')
    assert infer(images, 'car body', '--batch-size', 2) == 1
    assert len(files(tmp_path / 'outputs')) == 6
    shown = capsys.readouterr().err
    assert f'failed: {images}/a_bad.jpg: {images}/a_bad.jpg is not an image that can be read: a web page' in shown
    assert 'z_bad.png is not an image that can be read: it is empty' in shown
    assert '2 of 5 images failed' in shown
    assert infer(images, 'car body', '--on-error', 'raise', '--out-dir', 'stopped') == 1
    assert files(tmp_path / 'stopped') == set()
    assert '1 of 5 images failed, 4 were not read (--on-error raise)' in capsys.readouterr().err
    assert infer(images / 'b.jpg', 'car body', '--max-pixels', 100) == 1


EVERYTHING = ['--heat-maps', '--json', 'out/all.json', '--format', 'coco', '--rank', 'out/rank.csv', '--rewording',
              'the {}', '--out-dir', 'out']


def contents(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in files(folder)}


@pytest.fixture
def many_images(image, tmp_path) -> Path:
    """A folder of seven images, two of which cannot be read."""
    folder = tmp_path / 'many'
    folder.mkdir()
    for number in range(7):
        Image.fromarray(np.roll(image, 9 * number, axis=1)).save(folder / f'{number}.png')
    for number in (1, 4):
        (folder / f'{number}.png').write_bytes(b'')
    return folder


@pytest.fixture
def killed() -> Iterator[Callable[[int], None]]:
    """End a run as if it was killed before the journal has its line of the image with this number."""
    # Not pytest's, whose undo would also leave the test's folder, while threads write into it.
    patch = pytest.MonkeyPatch()

    def kill(number: int) -> None:
        add = Journal.add

        def interrupted(journal: Journal, image: int, records: dict) -> None:
            if image == number:
                patch.undo()
                raise KeyboardInterrupt
            add(journal, image, records)

        patch.setattr(Journal, 'add', interrupted)

    yield kill
    patch.undo()


@pytest.mark.parametrize('batch_size', [1, 2])
def test_a_run_that_was_killed_goes_on(infer, many_images, tmp_path, killed, capsys, batch_size):
    options = [many_images, *EXPRESSIONS, *EVERYTHING, '--batch-size', batch_size]
    assert infer(*options) == 1
    whole, printed = contents(tmp_path / 'out'), capsys.readouterr()
    shutil.rmtree(tmp_path / 'out')
    killed(5)
    with pytest.raises(KeyboardInterrupt):
        infer(*options)
    journal = tmp_path / 'out/infer.journal.jsonl'
    assert len(journal.read_bytes().splitlines()) == 1 + 3
    with journal.open('ab') as file:
        file.write(b'{"image": 5, "co')
    for name in ('.5_overlay.png.0123abcd.part', '.all.json.0123abcd.part'):
        (tmp_path / 'out' / name).touch()
    # Neither lost nor continued by chance.
    before = journal.read_bytes()
    capsys.readouterr()
    assert infer(*options) == 2
    assert 'is the journal of a run that has not ended, 3 of 7 images: add --resume' in capsys.readouterr().err
    assert infer(*options[:1], 'car body', *EVERYTHING, '--resume') == 2
    assert 'is of another run: expressions is ["car body", "car side mirror"]' in capsys.readouterr().err
    assert journal.read_bytes() == before
    assert infer(*options, '--resume') == 1
    shown = capsys.readouterr()
    done = 3 if batch_size == 1 else 2
    assert shown.out.startswith(f'{done} of 7 images are done; the others follow\n')
    # Those that failed are tried again.
    assert '2 of 7 images failed' in shown.err
    assert [line for line in printed.out.splitlines() if line.startswith(f'{many_images}/6')] == [
        line for line in shown.out.splitlines() if line.startswith(f'{many_images}/6')]
    assert contents(tmp_path / 'out') == whole
    assert not any(f'{many_images}/0' in line for line in shown.out.splitlines())


def test_the_speed_of_many_images_is_printed(infer, image, tmp_path, capsys):
    folder = tmp_path / 'many'
    folder.mkdir()
    for number in range(100):
        Image.fromarray(np.roll(image, number, axis=1)).save(folder / f'{number:02}.png')
    assert infer(folder, *EXPRESSIONS, '--no-masks', '--no-overlays') == 0
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.fullmatch(r'100 images in [\d.]+ s: [\d.]+ images and [\d.]+ expressions per second; the model ran \d+% '
                        r'of the time, the \d threads read \d+% and wrote \d+% of it', last)
    (folder / '00.png').unlink()
    assert infer(folder, *EXPRESSIONS, '--no-masks', '--no-overlays') == 0
    assert 'per second' not in capsys.readouterr().out


def test_resume_begins_where_there_is_no_journal(infer, images, tmp_path, capsys):
    assert infer(images, 'car body', '--resume') == 0
    assert len(files(tmp_path / 'outputs')) == 6
    assert infer(images, 'car body', '--resume', '--no-masks', '--no-overlays', '--json', '-') == 2
    assert '--resume needs an output that is a file' in capsys.readouterr().err


def test_a_run_that_stopped_at_an_image_goes_on_when_it_is_repaired(infer, many_images, tmp_path, capsys):
    options = [many_images, 'car body', '--json', 'all.json', '--no-masks', '--no-overlays', '--on-error', 'raise']
    assert infer(*options) == 1
    # The journal is next to the json where nothing is in the output folder.
    assert files(tmp_path) - {f'many/{number}.png' for number in range(7)} == {'all.json', 'all.journal.jsonl'}
    for number in (1, 4):
        shutil.copy(many_images / '0.png', many_images / f'{number}.png')
    assert infer(*options, '--resume') == 0
    assert not (tmp_path / 'all.journal.jsonl').exists()
    found = json.loads((tmp_path / 'all.json').read_text())
    assert [each['file_name'] for each in found['images']] == [f'{number}.png' for number in range(7)]
    assert [each['id'] for each in found['annotations']] == list(range(1, 8))


def test_annotations_of_a_run_that_was_killed_are_its_own(infer, many_images, tmp_path, killed, capsys):
    options = [many_images, *EXPRESSIONS, '--format', 'yolo', '--no-masks', '--no-overlays']
    assert infer(*options) == 1
    whole = contents(tmp_path / 'outputs')
    shutil.rmtree(tmp_path / 'outputs')
    killed(3)
    with pytest.raises(KeyboardInterrupt):
        infer(*options)
    assert infer(*options, '--resume') == 1
    assert contents(tmp_path / 'outputs') == whole
    assert infer(*options, '--resume') == 2
    assert 'exists already, and may have been corrected' in capsys.readouterr().err


@pytest.mark.parametrize('kind', ['coco', 'label-studio'])
def test_shares_together_are_the_whole(infer, many_images, tmp_path, run_script, capsys, kind):
    options = [many_images, *EXPRESSIONS, '--format', kind, '--json', 'out/all.json', '--out-dir', 'out']
    assert infer(*options) == 1
    whole = contents(tmp_path / 'out')
    shutil.rmtree(tmp_path / 'out')
    capsys.readouterr()
    # The first has images 0 and 1, the second 2 and 3, the last 4, 5 and 6.
    for index, code in ((2, 1), (0, 1), (1, 0)):
        assert infer(*options, '--shard', f'{index}/3') == code
    assert 'share 1 of 3: 2 of 7 images\n' in capsys.readouterr().out
    assert infer(*options, '--shard', '2/3', '--resume') == 0
    common = {'coco': 'annotations', 'label-studio': 'label_studio'}[kind]
    assert f'it is done: out/all.3-of-3.jsonl, out/{common}.3-of-3.jsonl' in capsys.readouterr().out
    for name in ('all.json', f'{common}.json'):
        run_script('merge_shards', tmp_path / 'out' / name)
    assert f'3 shares, 5 images, without 2 that failed -> {tmp_path}/out/all.json' in capsys.readouterr().out
    assert {name: content for name, content in contents(tmp_path / 'out').items() if '.jsonl' not in name} == whole


def test_ranks_of_torchrun_take_their_shares(infer, images, tmp_path, monkeypatch, capsys):
    for rank in range(4):
        for name, value in (('RANK', rank), ('WORLD_SIZE', 4), ('LOCAL_RANK', rank)):
            monkeypatch.setenv(name, str(value))
        options = [images, *EXPRESSIONS, '--format', 'yolo', '--rank', 'rank.csv', '--no-masks', '--no-overlays']
        assert infer(*options) == 0
    assert 'share 4 of 4: 1 of 3 images' in capsys.readouterr().out
    assert files(tmp_path / 'outputs') == {'data.yaml', 'labels/b.txt', 'labels/left/a.txt', 'labels/right/a.txt'}
    assert sorted(path.name for path in tmp_path.glob('rank*')) == [f'rank.{number}-of-4.csv' for number in range(1, 5)]
    assert infer(images, *EXPRESSIONS, '--json', '-') == 2
    assert 'each share writes its own files; name files in place of streams' in capsys.readouterr().err


@pytest.mark.e2e
def test_a_killed_process_goes_on(model, image, tmp_path):
    folder = tmp_path / 'many'
    folder.mkdir()
    for number in range(60):
        Image.fromarray(np.roll(image, number, axis=1)).save(folder / f'{number:02}.png')

    def start(out: str, *options: str) -> subprocess.Popen:
        return subprocess.Popen(
            [sys.executable, str(ROOT / 'tools/infer.py'), 'many', *EXPRESSIONS, '--json', f'{out}/all.json',
             '--heat-maps', '--format', 'labelme', '--out-dir', out, *options, *model], cwd=tmp_path,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
            env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)})

    whole = start('whole')
    assert whole.communicate(timeout=300)[0] is None
    assert whole.returncode == 0
    journal = tmp_path / 'parts/infer.journal.jsonl'
    for lines in (8, 30):
        process = start('parts', *(['--resume'] if journal.exists() else []))
        while process.poll() is None and (not journal.exists() or journal.read_bytes().count(b'\n') < lines):
            time.sleep(0.005)
        process.kill()
        process.communicate()
        assert process.returncode == -signal.SIGKILL
        assert lines <= journal.read_bytes().count(b'\n') < 61
    last = start('parts', '--resume')
    _, error = last.communicate(timeout=300)
    assert last.returncode == 0, error
    assert contents(tmp_path / 'parts') == contents(tmp_path / 'whole')


@pytest.mark.parametrize(('args', 'message'), [
    (['images/b.jpg'], 'there is no expression'),
    (['images/none.jpg', 'car body'], 'the image, folder or glob images/none.jpg does not exist'),
    (['images/b.jpg', 'images/left/a.png', 'car body'], 'images/left/a.png is a file, not an expression'),
    (['images/b.jpg', 'car body', '--parse', 'car'], '--parse segments all parts'),
    (['images/b.jpg', '--parse', 'chair'], "'chair' is not one of PartImageNet's super-categories"),
    (['images/b.jpg', ' '], 'one or more non-empty strings'),
    (['images', 'car body', '--out-dir', 'images'], 'and the output folder'),
    (['images/b.jpg', 'car body', '--device', 'warp'], 'is not a torch device'),
    (['images/b.jpg', '--expressions-file', 'none.txt'], 'none.txt'),
])
def test_a_wrong_command_does_nothing(infer, images, capsys, args, message):
    before = files(images)
    assert infer(*args) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count('\n') == 1
    assert files(images) == before


def test_inputs_are_never_overwritten(infer, images, capsys):
    taken = images / 'left/a_0_car-body.png'
    taken.write_bytes((images / 'left/a.png').read_bytes())
    before = taken.read_bytes()
    assert infer(f'{images}/left/*.png', 'car body', '--out-dir', images / 'left') == 2
    assert 'a_0_car-body.png is an input and would be overwritten' in capsys.readouterr().err
    assert taken.read_bytes() == before


@pytest.mark.parametrize(('expression', 'name'), [
    ('quadruped head', 'a_0_quadruped-head'), ('Räd  der_Tür!', 'a_0_Räd-der-Tür'), ('犬の頭', 'a_0_犬の頭'),
    ('सिर', 'a_0_सिर'), ('../../etc/passwd', 'a_0_etc-passwd'), ('..', 'a_0'), ('?!\0\n', 'a_0'), ('\ud800', 'a_0'),
    ('CON', 'a_0_CON'), ('Heat', 'a_0_Heat-'), ('12', 'a_0_12-'), ('x' * 300, f"a_0_{'x' * 79}"),
    ('犬' * 300, f"a_0_{'犬' * 26}"),
])
def test_a_mask_has_its_expression_in_its_name(expression, name):
    options = OutputOptions([expression], Path('out'), heat_maps=True, overlays=False)
    assert options.files(Path('in/a')) == [Path(f'out/in/{name}.png'), Path(f'out/in/{name}_heat.png')]


@pytest.mark.parametrize('stem', ['i' * 100, 'i' * 200, '像' * 75])
def test_names_of_long_images_and_expressions_can_be_written(tmp_path, stem):
    for file in OutputOptions(['wheel ' * 90, '頭' * 90], tmp_path, heat_maps=True, overlays=False).files(Path(stem)):
        with atomic_write(file):
            pass
        assert file.is_file()


def test_outputs_of_two_images_never_have_one_name():
    options = OutputOptions(['1 head', 'head', '2', '!', 'overlay', 'heat'], Path('out'), heat_maps=True)
    names = [file.name.lower() for stem in ('a', 'a_0', 'a_1', 'a_0_1') for file in options.files(Path(stem))]
    assert len(names) == len(set(names)) == 4 * 13


def test_bad_models_end_with_a_sentence(infer, model, images, tmp_path, capsys):
    (tmp_path / 'bad.pth').write_bytes(b'no checkpoint')
    for wrong, message in ((['--config', 'none.py'], 'the config none.py does not exist'),
                           ([*model[:2], '--checkpoint', 'none.pth'], 'the checkpoint none.pth does not exist'),
                           ([*model[:2], '--checkpoint', 'bad.pth'], 'bad.pth was not loaded'),
                           (model[:2], 'names no weights (init_cfg)')):
        assert infer(images / 'b.jpg', 'car body', model=wrong) == 2
        shown = capsys.readouterr().err.splitlines()[-1]
        assert message in shown


@pytest.mark.e2e
def test_it_runs_as_a_program(model, images, tmp_path):
    (images / 'a_bad.jpg').write_bytes(b'')
    done = subprocess.run(
        [sys.executable, str(ROOT / 'tools/infer.py'), 'images/b.jpg', 'car body', '--images', 'images/a_bad.jpg',
         *model], cwd=tmp_path, text=True, capture_output=True, check=False,
        env={**os.environ, 'OMP_NUM_THREADS': '1', 'PYTHONPATH': str(ROOT)})
    assert done.returncode == 1, done.stderr
    assert files(tmp_path / 'outputs') == {'b_0_car-body.png', 'b_overlay.png'}
    assert '1 of 2 images failed' in done.stderr


def test_an_image_with_a_name_of_the_greatest_length(infer, images, tmp_path):
    long = images / f"{'a' * 251}.png"
    (images / 'b.jpg').rename(long)
    assert infer(long, *EXPRESSIONS) == 0
    written = files(tmp_path / 'outputs')
    assert len(written) == 3
    assert all(len(name) < 255 for name in written)
    assert len({name[:200] for name in written}) == 1
