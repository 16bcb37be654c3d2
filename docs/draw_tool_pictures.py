"""Draw the pictures that show what the tools write: ``python docs/draw_tool_pictures.py`` writes them into docs/images.

Everything is of ToyParts and the packaged weights of ``cris_tiny_toyparts``. The gallery's picture needs Chromium and
selenium.
"""
import argparse
import io
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image
from selenium import webdriver

from mmpartref.apis import PartReferInferencer

DOCS = Path(__file__).parent
TOOLS = DOCS.parent / 'tools'
CONFIG = 'toyparts/cris_tiny_toyparts_demo.py'
WEIGHTS = next((DOCS.parent / 'mmpartref' / 'weights').glob('cris_tiny_toyparts-*.pth'))
WINDOW = (1280, 1020)


def run(folder: Path, tool: str, *arguments: str | Path) -> None:
    """Run a script of tools/ in a folder."""
    subprocess.run([sys.executable, TOOLS / f'{tool}.py', *arguments], cwd=folder, check=True)


def shoot(page: Path, out: Path) -> None:
    """Take a picture of a page."""
    options = webdriver.ChromeOptions()
    for argument in ('--headless=new', '--no-sandbox', '--hide-scrollbars', f'--window-size={WINDOW[0]},{WINDOW[1]}'):
        options.add_argument(argument)
    browser = webdriver.Chrome(options=options)
    try:
        browser.execute_cdp_cmd('Emulation.setDeviceMetricsOverride', {
            'width': WINDOW[0], 'height': WINDOW[1], 'deviceScaleFactor': 1, 'mobile': False})
        browser.get(page.as_uri())
        time.sleep(1)
        Image.open(io.BytesIO(browser.get_screenshot_as_png())).convert('RGB').save(out, quality=88)
    finally:
        browser.quit()


def draw(folder: Path, out: Path) -> None:
    """Run the tools in a folder and write their pictures."""
    run(folder, 'make_toyparts', 'data/toyparts')
    run(folder, 'dataset_doctor', 'data/toyparts', '--picture', out / 'doctor.png')
    run(folder, 'browse_dataset', CONFIG, '--number', '1', '--out', 'browse')
    Image.open(next((folder / 'browse').iterdir())).save(out / 'browse.jpg', quality=90)
    part, = PartReferInferencer('cris_tiny_toyparts')(DOCS / 'images/example_image.jpg', ['bird wing'], heat_map=True)
    part.heat_overlay().save(out / 'heat_map.jpg', quality=92)
    run(folder, 'test', CONFIG, WEIGHTS, '--dump', 'cris.json', '--candidates')
    for kind in ('mean-mask', 'decode-ceiling'):
        run(folder, 'reference_points', CONFIG, kind, '--dump', f'{kind}.json')
    run(folder, 'compare', 'cris.json', 'mean-mask.json', 'decode-ceiling.json', '--out', 'comparison',
        '--names', 'CRIS', 'mean mask', 'decode ceiling')
    (out / 'comparison.png').write_bytes((folder / 'comparison/miou_by_size.png').read_bytes())
    run(folder, 'gallery', 'cris.json', '--out', 'gallery')
    shoot(folder / 'gallery/index.html', out / 'gallery.jpg')


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--out', type=Path, default=DOCS / 'images', help='folder of the pictures')
    out = parser.parse_args().out.resolve()
    with tempfile.TemporaryDirectory() as folder:
        draw(Path(folder), out)


if __name__ == '__main__':
    main()
