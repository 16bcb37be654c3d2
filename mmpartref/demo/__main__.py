"""Serve a web page that predicts masks, heat maps and scores for an image and expressions."""
import argparse
from collections.abc import Sequence
from pathlib import Path

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.model_building import choose_device, name_of, names_weights, read_config
from mmpartref.arguments import ToolParser, input_path, output_folder, positive_int, text_argument
from mmpartref.demo.limits import Limits
from mmpartref.demo.page import build_page, import_gradio, part_names, serve
from mmpartref.demo.toy_model import cache_folder, toy_model
from mmpartref.errors import InputError, one_sentence_errors
from mmpartref.serving.allowed_hosts import allowed_hosts, check_host
from mmpartref.serving.http_server import ended_by_signals, listen


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = ToolParser('python -m mmpartref.demo', description=__doc__)
    parser.add_argument('--config', type=input_path,
                        help='config file; default: a toy model, trained on drawings at the first start')
    parser.add_argument('--checkpoint', type=input_path,
                        help='checkpoint file; default: that of init_cfg in the config')
    parser.add_argument('--device', default='auto', help="'auto', 'cpu', 'cuda', 'cuda:1', ...")
    parser.add_argument('--host', type=text_argument, default='127.0.0.1',
                        help='address to listen on; other than local ones need '
                        '--allow-remote')
    parser.add_argument('--port', type=int, default=7860, help='port to listen on')
    parser.add_argument('--allow-remote', action='store_true', help='accept other machines, without a password')
    parser.add_argument('--allowed-host', type=text_argument, action='append', default=[], metavar='NAME',
                        help='with --allow-remote: '
                        'host name or address in the URL that others open; may be repeated')
    parser.add_argument('--max-pixels', type=positive_int, default=Limits.max_pixels,
                        help='reject images with more pixels')
    parser.add_argument('--cache', type=output_folder, help=f'folder of the toy model; default: {cache_folder()}')
    args = parser.parse_args(argv)
    parser.require(args, '--checkpoint', '--config')
    if args.config and args.cache:
        parser.error('--cache is for the toy model, but --config names another')
    return args


def check_arguments(args: argparse.Namespace) -> Limits:
    """Check the arguments before a model is loaded or trained.

    Raises:
        MMPartRefError: one of them cannot be used.
    """
    limits = Limits(max_pixels=args.max_pixels)
    check_host(args.host, args.allow_remote)
    allowed_hosts(args.host, args.allowed_host, args.allow_remote)
    listen(args.host, args.port).close()
    choose_device(args.device)
    if args.config and not args.checkpoint and not names_weights(read_config(args.config)):
        raise InputError(f'{args.config} names no weights (init_cfg), so all predictions would be random; give '
                         '--checkpoint')
    return limits


@one_sentence_errors()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    limits = check_arguments(args)
    try:
        with ended_by_signals():
            import_gradio()
            run(args, limits)
    except KeyboardInterrupt:
        raise SystemExit('ended before the page was served') from None


def run(args: argparse.Namespace, limits: Limits) -> None:
    """Build the model and serve its page until a signal ends it."""
    toy = None if args.config else toy_model(Path(args.cache or cache_folder()))
    config = read_config(toy.config if toy else args.config)
    inferencer = PartReferInferencer(config, toy.checkpoint if toy else args.checkpoint, args.device,
                                     max_pixels=limits.max_pixels)
    title = f'Model: `{name_of(config)}` on {inferencer.device}'
    page = build_page(inferencer, title, limits, names=part_names(config, inferencer.model),
                      examples=toy.examples if toy else (), toy=toy is not None)
    hosts = allowed_hosts(args.host, args.allowed_host, args.allow_remote)
    if args.allow_remote:
        print(f'browsers may open the page as {", ".join(hosts)}; --allowed-host adds names', flush=True)
    serve(page, args.host, args.port, limits, hosts=hosts)


if __name__ == '__main__':
    main()
