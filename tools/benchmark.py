#!/usr/bin/env python
"""Time inference and training on random images, by number of expressions per image.

Weights are random, as time does not depend on them. With --reference the published code and ours run in turns, on the
same weights, images and threads.
"""
import argparse
import copy
import os
import platform
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from mmengine.registry import DefaultScope

from mmpartref.apis.model_building import choose_device
from mmpartref.arguments import ToolParser, input_path, output_file, positive_int
from mmpartref.benchmark.clock import Timing, measure, product_ceiling
from mmpartref.benchmark.published_cris import load_published
from mmpartref.benchmark.workload import (
    NO_FAST_PATHS,
    SWITCHES,
    Batch,
    autocast,
    flops_by_part,
    infer,
    infer_one_by_one,
    infer_published,
    make_batch,
    our_loss,
    postprocess_and_score,
    published_loss,
    switched,
    training_step,
)
from mmpartref.engine.config.config_nodes import builds
from mmpartref.engine.config.options_action import OptionsAction
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.run_checks import check_outputs
from mmpartref.errors import ConfigError, one_sentence_errors
from mmpartref.files.json_files import write_json
from mmpartref.models.segmentors import ReferringSegmentor
from mmpartref.registry import MODELS, SCOPE
from mmpartref.tables import Column, Table, to_markdown

DTYPES = {'fp32': torch.float32, 'bf16': torch.bfloat16, 'fp16': torch.float16}
# torch takes up to 2**31 - 1 and then fails to start them.
MAX_THREADS = 1024
SECTIONS = ('inference', 'switches', 'training')
Run = Callable[[], Any]
Within = Callable[[Run], Run]
Cases = dict[str, Run]


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument('config', type=input_path, nargs='?', default='configs/cris_r50_partimagenet.py')
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction, help='overrides (checked)')
    parser.add_argument('--only', nargs='+', choices=SECTIONS, default=SECTIONS, help='sections to time')
    parser.add_argument('--size', type=positive_int, default=416, help='side of the network input in pixels')
    parser.add_argument('--expressions', type=positive_int, nargs='+', default=[1, 2, 5, 10, 20], help='per image')
    parser.add_argument('--train-images', type=positive_int, default=4, help='images in the training batch')
    parser.add_argument('--train-expressions', type=positive_int, default=5,
                        help='per image, for training and switches')
    parser.add_argument('--precision', choices=DTYPES, default='fp32', help='autocast type, for both models')
    parser.add_argument('--bf16', action='store_true', help='add bf16 autocast to the switches; takes minutes on a CPU '
                        'without such arithmetic')
    parser.add_argument('--compile', action='store_true', help='time torch.compile as well (takes minutes more)')
    parser.add_argument('--device', default='cuda' if torch.cuda.is_available() else 'cpu')
    parser.add_argument('--threads', type=positive_int, default=torch.get_num_threads())
    parser.add_argument('--repeats', type=positive_int, default=5)
    parser.add_argument('--reference', type=input_path, metavar='DIR', help='a checkout of DerrickWang005/CRIS.pytorch')
    parser.add_argument('--json', type=output_file, metavar='OUT', help='write all times to this JSON file')
    args = parser.parse_args()
    if args.size < 32:
        parser.error('--size must be at least 32, the stride of the image encoder')
    if args.threads > MAX_THREADS:
        parser.error(f'--threads must be at most {MAX_THREADS}')
    for option, sections in (('bf16', ['switches']), ('compile', ['inference']), ('train_images', ['training']),
                             ('reference', ['inference', 'training']), ('expressions', ['inference']),
                             ('train_expressions', ['training', 'switches'])):
        if getattr(args, option) != parser.get_default(option) and not set(args.only) & set(sections):
            parser.error(f"--{option.replace('_', '-')} is for --only {' or '.join(sections)}")
    return args


def build(args: argparse.Namespace) -> ReferringSegmentor:
    cfg = load_config(args.config, args.cfg_options)
    if not builds(MODELS, cfg.get('model'), ReferringSegmentor):
        raise ConfigError(f'only a ReferringSegmentor can be timed, and {args.config} has another model')
    check_outputs(cfg, args.json)
    for part in (cfg.model, cfg.model.backbone, cfg.model.text_encoder):
        part.init_cfg = None
    torch.manual_seed(0)
    with DefaultScope.overwrite_default_scope(SCOPE):
        return MODELS.build(cfg.model).to(args.device).eval()


def inference(args: argparse.Namespace, model: ReferringSegmentor, published: torch.nn.Module | None,
              within: Within) -> list[dict[str, Any]]:
    rows = []
    compiled = copy.copy(model)
    if args.compile:
        compiled._network = torch.compile(model._network)  # type: ignore[method-assign]
    for count in args.expressions:
        batch = make_batch(model, 1, count, args.size)
        cases: Cases = {'ours': within(partial(infer, model, batch)),
                        'ours, expressions seen before': within(partial(infer, model, batch, False)),
                        'masks at image size, scored': partial(postprocess_and_score, model, batch)}
        if args.compile:
            cases['ours, compiled'] = within(partial(infer, compiled, batch))
        if published is not None:
            cases['published'] = within(partial(infer_published, published, batch))
        flops = flops_by_part(model, cases['ours'], fast_paths=True)['all']
        rows += records('inference', cases, measure(cases, args.repeats, torch.device(args.device)), batch, flops)
    return rows


def switches(args: argparse.Namespace, model: ReferringSegmentor,
             within: Within) -> list[dict[str, Any]]:
    batch = make_batch(model, 1, args.train_expressions, args.size)

    def run_switched(name: str) -> None:
        with switched(model, name):
            infer(model, batch)

    cases: Cases = {'ours': within(partial(infer, model, batch)),
                    'image encoded per expression': within(partial(infer_one_by_one, model, batch)),
                    **{name: within(partial(run_switched, name)) for name in (*SWITCHES, NO_FAST_PATHS)}}
    if args.bf16:
        cases['bf16 autocast'] = autocasting(args, 'bf16')(partial(infer, model, batch))
    rows = records('switches', cases, measure(cases, args.repeats, torch.device(args.device)), batch)
    exact = infer(model, batch)
    for row in rows:
        if row['case'] == 'bf16 autocast':
            with autocast(torch.device(args.device), torch.bfloat16):
                row['same_pixels'] = agreement(model, exact, infer(model, batch))
    return rows


def agreement(model: ReferringSegmentor, one: torch.Tensor, other: torch.Tensor) -> float:
    """Return the share of pixels on the same side of the threshold."""
    inside = [each.float().sigmoid() > model.decode.threshold for each in (one, other)]
    return float((inside[0] == inside[1]).float().mean())


def training(args: argparse.Namespace, model: ReferringSegmentor, published: torch.nn.Module | None,
             within: Within) -> list[dict[str, Any]]:
    batch = make_batch(model, args.train_images, args.train_expressions, args.size)
    fused = torch.optim.Adam(model.parameters(), lr=1e-6, fused=True)
    cases: Cases = {'ours': partial(training_step, model, within(partial(our_loss, model, batch)), fused)}
    if published is not None:
        # As its train.py makes it.
        adam = torch.optim.Adam(published.parameters(), lr=1e-6)
        cases['published'] = partial(training_step, published, within(partial(published_loss, published, batch)), adam)
    flops = flops_by_part(model, cases['ours'], fast_paths=True)['all']
    return records('training', cases, measure(cases, args.repeats, torch.device(args.device)), batch, flops)


def records(section: str, cases: Cases, measured: dict[str, Timing], batch: Batch,
            flops: int | None = None) -> list[dict[str, Any]]:
    rows = []
    for name in cases:
        row = {'section': section, 'case': name, 'images': len(batch.images), 'expressions': batch.expressions,
               'seconds': measured[name].seconds, 'fastest': measured[name].fastest,
               'seconds_per_expression': measured[name].seconds / batch.expressions,
               'peak_mib': measured[name].peak_mib}
        if 'published' in measured:
            row['times_as_fast_as_published'] = measured['published'].seconds / measured[name].seconds
        if flops is not None and name == 'ours':
            row['gflops'] = flops / 1e9
        rows.append(row)
    return rows


def autocasting(args: argparse.Namespace, name: str) -> Within:
    def wrap(run: Run) -> Run:
        def inside() -> Any:
            with autocast(torch.device(args.device), DTYPES[name]):
                return run()

        return inside

    return wrap


def show(rows: list[dict[str, Any]], ceiling: float) -> None:
    columns = [Column('section'), Column('case', left=True), Column('expressions'), Column('seconds', 4),
               Column('per expression', 4), Column('peak MiB', 0), Column('x published'),
               Column('% of ceiling', 0, percent=True)]
    cells = [[row['section'], row['case'], row['expressions'], row['seconds'], row['seconds_per_expression'],
              row['peak_mib'], row.get('times_as_fast_as_published'),
              row['gflops'] / row['seconds'] / ceiling if 'gflops' in row else None] for row in rows]
    notes = [f"{row['case']}: {row['same_pixels']:.4%} of the pixels on the same side of the threshold"
             for row in rows if 'same_pixels' in row]
    print(to_markdown(Table('', columns, cells, notes)))


@one_sentence_errors()
def main() -> None:
    args = parse_args()
    torch.set_num_threads(args.threads)
    device = choose_device(args.device)
    model = build(args)
    published = load_published(args.reference, model) if args.reference else None
    ceiling = product_ceiling(device, DTYPES[args.precision])
    cpu = f'{platform.machine()}, {args.threads} threads'
    name = torch.cuda.get_device_name(device) if device.type == 'cuda' else cpu
    machine = {'device': name, 'torch': torch.__version__, 'precision': args.precision, 'size': args.size,
               'config': os.path.basename(args.config), 'ceiling_gflops_per_second': ceiling}
    print(', '.join(f'{key} {value}' for key, value in machine.items()))
    batches = {count: make_batch(model, 1, count, args.size) for count in args.expressions}
    parts = {count: flops_by_part(model, partial(infer, model, batch)) for count, batch in batches.items()}
    for count, counted in parts.items():
        print(f'{count} expressions, GFLOP: ' + ', '.join(f'{part} {each / 1e9:.1f}' for part, each in counted.items()))
    within = autocasting(args, args.precision)
    rows: list[dict[str, Any]] = []
    if 'inference' in args.only:
        rows += inference(args, model, published, within)
    if 'switches' in args.only:
        rows += switches(args, model, within)
    if 'training' in args.only:
        rows += training(args, model, published, within)
    show(rows, ceiling)
    if args.json:
        gflops = {count: {part: each / 1e9 for part, each in counted.items()} for count, counted in parts.items()}
        write_json(args.json, {'machine': machine, 'gflops': gflops, 'rows': rows})


if __name__ == '__main__':
    main()
