"""The wheel, the source archive and the editable install, and mim's way into each of them."""
import sys
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from environments import CHECKOUT, PIP_INSTALL, Environment, build_wheel, members, run

pytestmark = pytest.mark.e2e

CONFIG = 'cris_r50_partimagenet.py'
# Ends a run after its config was read, and names the key.
DETECTOR_CONFIG = 'mask_rcnn_r50_partimagenet_finetuned.py'
WRONG_OPTION = ('--cfg-options', 'no_such_key=1')


@pytest.fixture(scope='module')
def editable(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Environment:
    environment = Environment(tmp_path_factory.mktemp('editable'))
    environment.run(*PIP_INSTALL, '-e', source)
    return environment


def test_wheel_holds_the_sources_once_and_nothing_else(source: Path, wheel: Path) -> None:
    expected = [path.relative_to(source).as_posix() for path in (source / 'mmpartref').rglob('*')
                if path.is_file() and not {'.mim', '__pycache__'} & set(path.parts)]
    for name in ('configs', 'tools'):
        expected += [f'mmpartref/.mim/{path.relative_to(source).as_posix()}' for path in (source / name).rglob('*.*')]
    expected.remove('mmpartref/.mim/tools/build_backend.py')
    expected += ['mmpartref/.mim/model-index.yml']
    assert 'mmpartref/.mim/configs/_base_/default_runtime.py' in expected
    assert {'mmpartref/datasets/partimagenet/partimagenet_synsets.csv', 'mmpartref/py.typed'} <= set(expected)

    packed = [name for name in members(wheel) if '.dist-info/' not in name]
    assert packed == sorted(expected)
    assert {'LICENSE', 'NOTICE'} == {name.split('/')[-1] for name in members(wheel) if '.dist-info/licenses/' in name}
    assert {name.split('/')[0] for name in members(wheel)} == {'mmpartref', f'{wheel.name.split("-py3")[0]}.dist-info'}


def test_wheel_built_from_the_source_archive_is_the_same(source: Path, wheel: Path, tmp_path: Path) -> None:
    build = "import sys; sys.path.insert(0, 'tools'); import build_backend; build_backend.build_sdist(sys.argv[1])"
    run([sys.executable, '-c', build, tmp_path], source)
    archive = next(tmp_path.glob('mmpartref-*.tar.gz'))
    with tarfile.open(archive) as files:
        assert not [member.name for member in files if member.issym() or member.islnk()]
    assert members(build_wheel(archive, tmp_path)) == members(wheel)


def test_base_requirements_leave_the_openmmlab_family_open(from_wheel: Environment) -> None:
    wanted = from_wheel.run('-c', "from importlib.metadata import requires; print('\\n'.join(requires('mmpartref')))")
    base = [line for line in wanted.splitlines() if 'extra ==' not in line]
    assert any(line.startswith('torch') for line in base)
    assert not [line for line in base if line.startswith(('mm', 'onedl', 'openmim'))]


@pytest.mark.parametrize('mode', ['from_wheel', 'editable'])
def test_import_and_version(mode: str, source: Path, request: pytest.FixtureRequest) -> None:
    environment: Environment = request.getfixturevalue(mode)
    package = (source if mode == 'editable' else environment.packages) / 'mmpartref'
    shown = environment.run('-c', 'import mmpartref, importlib.metadata as m\n'
                            "print(mmpartref.__file__, mmpartref.__version__, m.version('mmpartref'), sep='\\n')")
    version = {}
    exec((source / 'mmpartref' / 'version.py').read_text(), version)
    assert shown.splitlines() == [str(package / '__init__.py'), version['__version__'], version['__version__']]


@pytest.mark.usefixtures('openmim')
@pytest.mark.parametrize('mode', ['from_wheel', 'editable'])
def test_mim_finds_tools_and_config(mode: str, source: Path, request: pytest.FixtureRequest) -> None:
    environment: Environment = request.getfixturevalue(mode)
    package = (source if mode == 'editable' else environment.packages) / 'mmpartref'

    def run_mim(command: str, config: str, *arguments: str) -> str:
        return environment.run(
            '-m', 'mim', command, 'mmpartref', f'configs/{config}', *arguments, *WRONG_OPTION, check=False)

    # The tools of both kinds of installation are found alike; a config with a base in mmdet is tried once.
    runs = {('train', CONFIG if mode == 'editable' else DETECTOR_CONFIG): ()}
    if mode == 'from_wheel':
        runs['test', CONFIG] = ('--checkpoint', 'no.pth')
    with ThreadPoolExecutor() as pool:
        started = [(*each, pool.submit(run_mim, *each, *arguments)) for each, arguments in runs.items()]
    for command, config, result in started:
        shown = result.result()
        assert f'{package}/.mim/tools/{command}.py' in shown
        assert str((package / '.mim' / 'configs' / config).resolve()) in shown
        assert '--cfg-options no_such_key:' in shown
    assert not list(environment.empty.iterdir())


@pytest.mark.usefixtures('openmim')
@pytest.mark.parametrize('mode', ['from_wheel', 'editable'])
def test_mim_search_lists_the_configs(mode: str, request: pytest.FixtureRequest) -> None:
    environment: Environment = request.getfixturevalue(mode)
    assert Path(CONFIG).stem in environment.run('-m', 'mim', 'search', 'mmpartref', '--valid-config')


def test_editable_install_sees_a_new_config(editable: Environment, source: Path) -> None:
    """mmengine's ``mmpartref::`` and mim look for configs in this folder."""
    new = source / 'configs' / 'new_since_install.py'
    new.touch()
    try:
        folder = editable.run('-c', "from mmengine.utils import get_installed_path as p; print(p('mmpartref'))").strip()
        assert (Path(folder) / '.mim' / 'configs' / new.name).is_file()
    finally:
        new.unlink()


@pytest.mark.parametrize('options', [(), ('-e', )], ids=['wheel', 'editable'])
def test_uninstall_leaves_nothing(options: tuple[str, ...], source: Path, wheel: Path, tmp_path: Path) -> None:
    environment = Environment(tmp_path)
    before = environment.contents()
    environment.run(*PIP_INSTALL, *options, source if options else wheel)
    assert len(environment.contents()) > len(before)
    environment.run('-m', 'pip', 'uninstall', '-y', 'mmpartref')
    assert environment.contents() == before


def test_import_without_mmengine_names_the_extras() -> None:
    """``-S`` ignores site-packages."""
    code = f'import sys; sys.path.insert(0, {str(CHECKOUT)!r}); import mmpartref'
    last = run([sys.executable, '-S', '-c', code], CHECKOUT, check=False).splitlines()[-1]
    assert last.startswith('ImportError: mmpartref needs mmengine')
    assert "'cris'" in last
    assert "'all'" in last
