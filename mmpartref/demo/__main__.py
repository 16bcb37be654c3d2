"""Serve a web page that predicts masks, heat maps and scores for an image and expressions."""
import argparse
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.model_building import choose_device, choose_weights, name_of, read_config
from mmpartref.arguments import ToolParser, input_path, positive_int
from mmpartref.demo.limits import Limits
from mmpartref.demo.page import build_page, import_gradio, part_names, serve
from mmpartref.demo.toy_examples import NAME, is_toy, toy_examples
from mmpartref.errors import one_sentence_errors
from mmpartref.serving.allowed_hosts import add_address_arguments, allowed_hosts, check_address
from mmpartref.serving.http_server import ended_by_signals


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = ToolParser('python -m mmpartref.demo', description=__doc__)
    parser.add_argument('--config', type=input_path,
                        help='config file, or the name of a packaged one; default: a toy model of drawings')
    parser.add_argument('--checkpoint', type=input_path,
                        help="checkpoint file; default: the weights of a packaged config's name, or those of init_cfg")
    parser.add_argument('--device', default='auto', help="'auto', 'cpu', 'cuda', 'cuda:1', ...")
    add_address_arguments(parser, 7860, 'accept other machines, without a password',
                          'host name or address in the URL that others open')
    parser.add_argument('--max-pixels', type=positive_int, default=Limits.max_pixels,
                        help='reject images with more pixels')
    args = parser.parse_args(argv)
    parser.require(args, '--checkpoint', '--config')
    args.config = args.config or NAME
    return args


def check_arguments(args: argparse.Namespace) -> Limits:
    """Check the arguments before a model is loaded.

    Raises:
        MMPartRefError: one of them cannot be used.
    """
    limits = Limits(max_pixels=args.max_pixels)
    check_address(args)
    choose_device(args.device)
    choose_weights(args.config, read_config(args.config), args.checkpoint)
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
    config = read_config(args.config)
    weights = choose_weights(args.config, config, args.checkpoint)
    inferencer = PartReferInferencer(config, weights, args.device, max_pixels=limits.max_pixels)
    title = f'Model: `{name_of(config)}` on {inferencer.device}'
    toy = is_toy(config)
    with TemporaryDirectory() as drawings:  # Gradio copies the examples
        page = build_page(inferencer, title, limits, names=part_names(config, inferencer.model),
                          examples=toy_examples(Path(drawings)) if toy else (), toy=toy)
    hosts = allowed_hosts(args.host, args.allowed_host, args.allow_remote)
    if args.allow_remote:
        print(f'browsers may open the page as {", ".join(hosts)}; --allowed-host adds names', flush=True)
    serve(page, args.host, args.port, limits, hosts=hosts)


if __name__ == '__main__':
    main()
