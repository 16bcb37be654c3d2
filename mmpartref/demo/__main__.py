"""A page in the browser: a photo, expressions, and the masks, heat maps, scores and times that a model gives."""
import argparse
from collections.abc import Sequence
from pathlib import Path

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.model_building import choose_device, name_of, names_weights, read_config
from mmpartref.demo.limits import Limits, allowed_hosts, check_host, check_port
from mmpartref.demo.page import build_page, import_gradio, part_names, serve
from mmpartref.demo.server import ended_by_signals
from mmpartref.demo.toy_model import cache_folder, toy_model
from mmpartref.errors import InputError, one_sentence_errors


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser('python -m mmpartref.demo', description=__doc__)
    parser.add_argument('--config', help='of the model; without it a toy model is trained on drawings, once')
    parser.add_argument('--checkpoint', help="weights; may be left out where the config's init_cfg names them")
    parser.add_argument('--device', default='auto', help="'auto', 'cpu', 'cuda', 'cuda:1', ...")
    parser.add_argument('--host', default='127.0.0.1', help='address to listen on; others than this machine need '
                        '--allow-remote')
    parser.add_argument('--port', type=int, default=7860)
    parser.add_argument('--allow-remote', action='store_true', help='let other machines use it, without a password')
    parser.add_argument('--allowed-host', action='append', default=[], metavar='NAME', help='with --allow-remote: a '
                        'host name or address under which others open the page; may be repeated')
    parser.add_argument('--max-pixels', type=int, default=Limits.max_pixels, help='larger photos are refused')
    parser.add_argument('--cache', type=Path, default=cache_folder(), help='where the toy model is kept')
    return parser.parse_args(argv)


def check_arguments(args: argparse.Namespace) -> Limits:
    """Refuse what cannot be, before anything takes time.

    Raises:
        ValueError, FileNotFoundError, ConfigError: one sentence.
    """
    limits = Limits(max_pixels=args.max_pixels)
    check_host(args.host, args.allow_remote)
    allowed_hosts(args.host, args.allowed_host, args.allow_remote)
    check_port(args.host, args.port)
    choose_device(args.device)
    if args.checkpoint and not args.config:
        raise InputError('--checkpoint needs the --config it was trained with')
    if args.config and not args.checkpoint and not names_weights(read_config(args.config)):
        raise InputError(f'{args.config} names no weights of its own (init_cfg), so every answer would be random; give '
                         '--checkpoint')
    return limits


def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    limits = check_arguments(args)
    try:
        with ended_by_signals():
            import_gradio()
            run(args, limits)
    except ModuleNotFoundError as error:
        if error.name != 'gradio':
            raise
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit('ended before the page was served') from None


def run(args: argparse.Namespace, limits: Limits) -> None:
    """Make the model and serve its page until a signal ends it."""
    toy = None if args.config else toy_model(args.cache)
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
    with one_sentence_errors():
        main()
