"""Serve a model to Label Studio: type an expression or choose a label, and get its masks as editable regions.

The access token of a Label Studio user is read from the environment variable LABEL_STUDIO_API_KEY.
"""
import argparse
import os
from collections.abc import Sequence

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.formats.labelled_masks import INSTANCES, MIN_AREA, TOLERANCE, FormatOptions
from mmpartref.apis.model_building import choose_device, choose_weights, read_config
from mmpartref.arguments import ToolParser, input_path, pixels, positive_int, text_argument
from mmpartref.errors import InputError, one_sentence_errors
from mmpartref.files.plain_file import read_text
from mmpartref.images.read_image import MAX_PIXELS, ImageReader
from mmpartref.labelling.app import BackendLimits, build_app, check_packages
from mmpartref.labelling.backend import LabelStudioBackend
from mmpartref.labelling.studio_images import StudioImages
from mmpartref.serving.allowed_hosts import add_address_arguments, check_address
from mmpartref.serving.http_server import HttpServer, address_of, ended_by_signals

KEY = 'LABEL_STUDIO_API_KEY'


def parse_args(argv: Sequence[str] | None = None) -> argparse.Namespace:
    parser = ToolParser('python -m mmpartref.labelling', description=__doc__)
    parser.add_argument('--config', type=input_path, required=True, help='config file')
    parser.add_argument('--checkpoint', type=input_path,
                        help='checkpoint file; default: that of init_cfg in the config')
    parser.add_argument('--device', default='auto', help="'auto', 'cpu', 'cuda', 'cuda:1', ...")
    parser.add_argument('--label-studio', type=text_argument, default='http://localhost:8080', metavar='URL',
                        help='address of Label Studio; images are read from there only')
    add_address_arguments(parser, 9090, 'accept requests of other machines',
                          'host name or address by which Label Studio calls the backend')
    parser.add_argument('--basic-auth', type=input_path, metavar='FILE',
                        help='a file with user:password, which the requests must have')
    parser.add_argument('--instances', choices=INSTANCES, default='components',
                        help="a region for each connected piece or detector's instance (default), or pieces below "
                        '--min-area as well')
    parser.add_argument('--min-area', type=positive_int, help=f'smallest piece, in pixels (default: {MIN_AREA})')
    parser.add_argument('--tolerance', type=pixels, default=TOLERANCE,
                        help='distance of polygons from the outline of the mask, in pixels')
    parser.add_argument('--max-pixels', type=positive_int, default=MAX_PIXELS, help='reject images with more pixels')
    args = parser.parse_args(argv)
    if args.instances == 'one' and args.min_area is not None:
        parser.error('--min-area needs --instances components')
    return args


def credentials(path: str | None) -> str:
    """Return the content of the file of --basic-auth.

    Raises:
        InputError: it is not user:password.
    """
    if path is None:
        return ''
    content = read_text(path).strip()
    user, colon, password = content.partition(':')
    # Programs encode other letters differently.
    if not (user and colon and password and content.isascii()) or len(content.splitlines()) > 1:
        raise InputError('the file of --basic-auth must have one line, user:password, of ASCII characters')
    return content


@one_sentence_errors()
def main(argv: Sequence[str] | None = None) -> None:
    args = parse_args(argv)
    check_packages()
    try:
        with ended_by_signals():
            run(args)
    except KeyboardInterrupt:
        raise SystemExit('ended before the backend was served') from None


def run(args: argparse.Namespace) -> None:
    """Check the arguments, build the model and serve it until a signal ends it."""
    hosts = check_address(args)
    secret = credentials(args.basic_auth)
    images = StudioImages(args.label_studio, os.environ.get(KEY, '').strip(), ImageReader(args.max_pixels))
    choose_device(args.device)
    config = read_config(args.config)
    weights = choose_weights(args.config, config, args.checkpoint)
    if unreachable := images.check():
        print(f'warning: {unreachable}', flush=True)
    inferencer = PartReferInferencer(config, weights, args.device, max_pixels=args.max_pixels)
    options = FormatOptions(args.instances, args.min_area or MIN_AREA, args.tolerance)
    backend = LabelStudioBackend(inferencer, images, options)
    limits = BackendLimits()
    server = HttpServer(build_app(backend, hosts, limits, secret), args.host, args.port, limits.max_connections)
    serve(server, backend, address_of(args.host, args.port))


def serve(server: HttpServer, backend: LabelStudioBackend, address: str) -> None:
    """Serve until a signal."""
    try:
        with ended_by_signals() as stop:
            server.start()
            print(f'{backend.model_version} on {backend.inferencer.device} is at {address} (Ctrl+C ends it); add this '
                  'address in Label Studio: Settings, Model, Connect Model', flush=True)
            server.wait(stop)
    except KeyboardInterrupt:
        print('the backend has ended', flush=True)
    finally:
        server.close()


if __name__ == '__main__':
    main()
