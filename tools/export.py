#!/usr/bin/env python
"""Export the inference graph of a config and a checkpoint to ONNX or torch.export's .pt2; see docs/export.md."""
import argparse
from pathlib import Path

from mmpartref.apis.export.export_graph import OPSETS, check_suffix, export_onnx, export_pt2, require
from mmpartref.apis.export.run_exported import TOLERANCE, compare_with_eager
from mmpartref.apis.model_building import letterbox_of, load_segmentor
from mmpartref.arguments import ToolParser, input_path, output_file, positive_int
from mmpartref.engine.config.options_action import OptionsAction
from mmpartref.engine.launch.build_runner import load_config
from mmpartref.engine.launch.run_checks import config_inputs
from mmpartref.errors import ExportError, one_sentence_errors
from mmpartref.files.output_path import check_not_inputs, check_output_file
from mmpartref.text import shown_name


def parse_args() -> argparse.Namespace:
    parser = ToolParser(description=__doc__)
    parser.add_argument('config', type=input_path, help='config file')
    parser.add_argument('checkpoint', type=input_path,
                        help="checkpoint file, or 'none' for random weights, e.g. to measure time")
    parser.add_argument('out', type=output_file, help='file to write, .onnx or .pt2')
    parser.add_argument('--size', nargs=2, type=positive_int, action='append', metavar=('H', 'W'),
                        help="network input; default: the size of the config's test pipeline. May be repeated: one "
                        'file per size, with _HxW in its name')
    parser.add_argument('--opset', type=positive_int, help=f'ONNX opset, {OPSETS[0]} (default) to {OPSETS[1]}')
    parser.add_argument('--check', action='store_true', help='compare each file with the model on random input; '
                        f'exit code 1 if they differ by more than {TOLERANCE} standard deviations')
    parser.add_argument(
        '--cfg-options', nargs='+', action=OptionsAction, help='overrides, e.g. model.threshold=0.4 (checked)')
    return parser.parse_args()


def export(args: argparse.Namespace) -> bool:
    """Write the files; return whether all that were checked agree with the model."""
    onnx = check_suffix(args.out) == '.onnx'
    if onnx:
        require('onnx', 'onnxscript', *(['onnxruntime'] if args.check else []))
    elif args.opset is not None:
        raise ExportError(f'--opset is for .onnx files, but the output is {args.out}; remove --opset')
    cfg = load_config(args.config, args.cfg_options)
    sizes = list(dict.fromkeys((height, width) for height, width in args.size or []))
    if not sizes:
        letterbox = letterbox_of(cfg)
        if letterbox is None:
            raise ExportError(f'the test pipeline of {args.config} has no Letterbox with a size; give --size')
        sizes = [letterbox.size]
    files = [Path(args.out)] if len(sizes) == 1 else [
        Path(args.out).with_stem(f'{Path(args.out).stem}_{height}x{width}') for height, width in sizes]
    check_not_inputs(files, [args.checkpoint, *config_inputs(cfg)])
    for out in files:
        check_output_file(str(out))
    model = load_segmentor(cfg, None if args.checkpoint == 'none' else args.checkpoint)
    agree = True
    for size, out in zip(sizes, files, strict=True):
        if onnx:
            export_onnx(model, out, size, opset=args.opset or OPSETS[0], config=cfg)
        else:
            export_pt2(model, out, size, config=cfg)
        print(f'{size[0]} x {size[1]}, {out.stat().st_size / 2**20:.1f} MiB -> {shown_name(str(out))}')
        if args.check:
            for counts, difference in compare_with_eager(model, out, size).items():
                print('N={}, M={}, U={}: '.format(*counts) + f'differs by {difference:.1e} standard deviations')
                agree &= difference <= TOLERANCE
    return agree


@one_sentence_errors()
def main() -> None:
    if not export(parse_args()):
        print(f'above {TOLERANCE}: this is more than rounding')
        raise SystemExit(1)


if __name__ == '__main__':
    main()
