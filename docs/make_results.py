"""Make docs/results.md from configs/metafile.yml and docs/published_results.yml: ``python docs/make_results.py``."""
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]
PAGE = ROOT / 'docs/results.md'
MEASURED, PUBLISHED, NOT_YET = '✔ measured here', '○ published by others', '– not yet measured'
METRICS = ('mIoU', 'cIoU', 'P@0.5')
HEAD = f"""# Results and model zoo

Every table or row is marked with one of three states:

| | |
|---|---|
| {MEASURED} | with a command of this repository; machine and data are under [accuracy experiments](benchmarks.md) |
| {PUBLISHED} | copied from the source named above the table; not run here |
| {NOT_YET} | the config is tested, but nobody has trained or evaluated it in full here |

Figures are in percent, and mean what [metrics](metrics.md) says. To add a model, evaluate its masks as in
[Evaluate your model](evaluate_any_model.md).
"""
ZOO = """
## Models of this repository

Configs are those below `configs/`. Parameters are of the whole model; GFLOPs are of one image with one expression at
the config's input size, 2 per multiply-add; an empty cell was not counted. The package has the weights of
`cris_tiny_toyparts_demo.py`, under the name `cris_tiny_toyparts`; none are trained on PartImageNet. CLIP's, timm's and
COCO's, which configs start from, have their own licences. The code is under Apache-2.0.
"""


def row(cells: Sequence[str]) -> str:
    """Return a line of a Markdown table."""
    return f'| {" | ".join(cells)} |'


def table(heads: Sequence[str], lines: Iterable[str]) -> str:
    """Return a Markdown table."""
    return '\n'.join([row(heads), row(['---'] * len(heads)), *lines])


def result_of(model: Mapping[str, Any]) -> list[str]:
    """Return what a model was measured on and its metrics; nothing where it was not."""
    results = model.get('Results', [])
    if not results:
        return []
    (result, ) = results
    return [result['Dataset'], *(f"**{result['Metrics'][name]:.1f}**" for name in METRICS)]


def model_line(model: Mapping[str, Any]) -> str:
    """Return a model's line of the zoo; without results it has four cells."""
    metadata = model['Metadata']
    parameters, flops = metadata.get('Parameters'), metadata.get('FLOPs')
    return row([f"`{model['Config'].removeprefix('configs/')}`", metadata['Training Data'], *result_of(model),
                f'{parameters / 1e6:.1f}' if parameters else '', f'{flops / 1e9:.1f}' if flops else ''])


def zoo(models: Sequence[Mapping[str, Any]]) -> str:
    """Return the tables of models: those with results, and the others."""
    heads, costs = ['config', 'training data'], ['M parameters', 'GFLOPs']
    measured = [model for model in models if 'Results' in model]
    waiting = [model for model in models if 'Results' not in model]
    return '\n'.join([ZOO, f'{MEASURED}:\n',
                      table([*heads, 'measured on', *METRICS, *costs], map(model_line, measured)),
                      f'\n{NOT_YET}:\n', table([*heads, *costs], map(model_line, waiting)), ''])


def published(listed: Mapping[str, Any]) -> str:
    """Return the section of a published table."""
    heads = ['model', *listed['Columns'], 'state']
    lines = [row([name, *(f'{value:.1f}' for value in values), PUBLISHED]) for name, values in listed['Rows'].items()]
    ours = row(['CRIS and Mask R-CNN of this repository', *[''] * len(listed['Columns']), NOT_YET])
    return '\n'.join([f"\n## {listed['Title']}\n", f"Source: {listed['Source']}. {listed['Note']}\n",
                      table(heads, [*lines, ours]), ''])


def make_page() -> str:
    """Return the page."""
    models = yaml.safe_load((ROOT / 'configs/metafile.yml').read_text(encoding='utf-8'))['Models']
    tables = yaml.safe_load((ROOT / 'docs/published_results.yml').read_text(encoding='utf-8'))
    return HEAD + zoo(models) + ''.join(map(published, tables))


if __name__ == '__main__':
    PAGE.write_text(make_page(), encoding='utf-8')
