"""The web page, built with Gradio; it loads nothing from other servers."""
import os
import threading
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.model_building import partimagenet_categories
from mmpartref.datasets import PartImageNetReferringDataset
from mmpartref.demo.limits import Limits, memory_notice
from mmpartref.demo.predict import predict
from mmpartref.demo.requests import EXAMPLE, FIND, Functions
from mmpartref.demo.uploads import INTERVAL, MAX_AGE, delete_uploads, upload_folder, uploaded_file
from mmpartref.engine.config.config_nodes import builds
from mmpartref.errors import MissingPackageError
from mmpartref.models.detectors import ReferringDetector
from mmpartref.registry import DATASETS
from mmpartref.serving.allowed_hosts import allowed_hosts
from mmpartref.serving.http_server import HttpServer, address_of, ended_by_signals

TOY_NOTICE = ('**This is a toy model, trained on drawings only; it does not work on photos.** Try the drawings below; '
              'for photos start the demo with `--config` and `--checkpoint`.')
NOT_UPLOADED = 'The image must be uploaded; paths and URLs are not read.'
STYLE = '.results { width: 100% } .results th, .results td { text-align: left; padding: 0.2em 0.6em }'


def import_gradio() -> Any:
    """Return Gradio with its usage reports and its history of runs turned off.

    Raises:
        MissingPackageError: it is not installed.
    """
    upload_folder()  # Gradio stores some of its folders when it is imported
    os.environ.update(GRADIO_ANALYTICS_ENABLED='False', HF_HUB_DISABLE_TELEMETRY='1',
                      GRADIO_RUN_HISTORY='False', GRADIO_MCP_SERVER='False')
    try:
        import gradio
    except ImportError:
        raise MissingPackageError("the demo needs Gradio: pip install 'mmpartref[demo]'") from None
    return gradio


def part_names(config: Config, model: Any) -> list[str]:
    """Return the part names to choose from: a detector's categories, or PartImageNet's for its dataset."""
    if isinstance(model, ReferringDetector) and model.targets != 'coco_objects':
        return [f'{name.super_category} {name.part}' for name in model.vocabulary.categories]
    if builds(DATASETS, config.test_dataloader.dataset, PartImageNetReferringDataset):
        return [f"{each['super_category']} {each['part']}" for each in partimagenet_categories()]
    return []


def build_page(inferencer: PartReferInferencer, title: str, limits: Limits, *, names: Sequence[str] = (),
               examples: Sequence[tuple[str, list[str]]] = (), toy: bool = False) -> Any:
    """Return the page as Gradio's Blocks with a limited queue, which no call can bypass.

    Args:
        inferencer: the model.
        title: description of the model.
        limits: limits of images, expressions and the queue.
        names: part names to choose from.
        examples: (image file, expressions) to choose from.
        toy: show that the model is a toy.
    """
    gradio = import_gradio()
    one_at_a_time = threading.Lock()

    def find(image: dict[str, Any] | None, text: str | None, chosen: list[str] | None = None) -> tuple[Any, ...]:
        path = uploaded_file(image.get('path')) if image else None
        if image and path is None:
            raise gradio.Error(NOT_UPLOADED, print_exception=False)
        try:
            with one_at_a_time:
                outputs = predict(inferencer, path, text or '', chosen or [], limits)
        except ValueError as error:
            raise gradio.Error(str(error), print_exception=False) from None
        return outputs.overlay, outputs.table, outputs.pictures

    # Uploads are deleted after about an hour.
    with gradio.Blocks(title='mmpartref', analytics_enabled=False, delete_cache=(INTERVAL, MAX_AGE)) as page:
        gradio.Markdown(f'# Part segmentation\n{title}')
        if toy:
            gradio.Markdown(TOY_NOTICE, elem_id='toy')
        with gradio.Row():
            with gradio.Column():
                inputs = input_fields(gradio, names)
                button = gradio.Button('Segment', variant='primary', elem_id='find')
                gradio.Markdown(memory_notice(limits), elem_id='memory')
            with gradio.Column():
                outputs = result_fields(gradio)
        if examples:
            add_examples(gradio, examples, *inputs[:2])
        # Without preprocessing, as Gradio would open the image before any limit is checked.
        button.click(find, inputs, outputs, api_name=FIND, concurrency_limit=1, preprocess=False)
    return page.queue(max_size=limits.max_waiting, default_concurrency_limit=1, api_open=False)


def input_fields(gradio: Any, names: Sequence[str]) -> list[Any]:
    """Return the fields for image and text, and for part names if there are any."""
    fields = [gradio.Image(label='Image', type='filepath', image_mode=None, sources=['upload', 'clipboard'],
                           elem_id='image', buttons=[]),
              gradio.Textbox(label='Expressions, one per line', lines=3, elem_id='expressions',
                             placeholder='the tire of the car\ncar side mirror')]
    if names:
        with gradio.Accordion('Part names', open=False):
            fields.append(gradio.CheckboxGroup(list(names), show_label=False, elem_id='names'))
    return fields


def result_fields(gradio: Any) -> list[Any]:
    """Return the fields for the overlay, the table, and the pictures of each expression."""
    return [gradio.Image(label='Masks', interactive=False, format='png', elem_id='overlay', buttons=[]),
            gradio.HTML(elem_id='table'),
            gradio.Gallery(label='Mask and heat map of each expression', columns=2, format='png', object_fit='contain',
                           interactive=False, elem_id='pictures', buttons=[])]


def add_examples(gradio: Any, examples: Sequence[tuple[str, list[str]]], image: Any, text: Any) -> None:
    """Add clickable examples, which fill image and text.

    Unlike ``gradio.Examples`` they go through the queue, so that no direct call must stay open.
    """
    samples = [[path, '\n'.join(expressions)] for path, expressions in examples]
    table = gradio.Dataset(components=[image, text], samples=samples, type='index', label='Drawings',
                           elem_id='examples')
    stored = [str(file['path']) for file, _ in table.samples]

    def example(index: int) -> tuple[str, str]:
        return stored[index], samples[index][1]

    table.click(example, [table], [image, text], api_name=EXAMPLE, show_progress='hidden')


def page_functions(page: Any, limits: Limits) -> Functions:
    """Return the page's functions with their arguments, from its components."""
    functions = {each.api_name: each for each in page.fns.values()}
    names = [each.choices for each in functions[FIND].inputs[2:]]
    examples = len(functions[EXAMPLE].inputs[0].samples) if EXAMPLE in functions else 0
    max_text = 2 * limits.max_expressions * (limits.max_characters + 2)
    return Functions({name: functions[name]._id for name in (FIND, EXAMPLE) if name in functions},
                     [value for _, value in names[0]] if names else None, max_text, examples)


def guarded_app(page: Any, host: str, port: int, limits: Limits, hosts: Sequence[str]) -> Any:
    """Return the page as an ASGI app, with the checks of ``Host`` header and requests in front."""
    from fastapi import FastAPI  # comes with Gradio, as Starlette does
    from starlette.middleware.trustedhost import TrustedHostMiddleware
    from starlette.routing import Mount

    from mmpartref.demo.guard import RequestGuard
    gradio = import_gradio()
    fonts = [gradio.themes.Font(name) for name in ('system-ui', 'sans-serif')]
    mono = [gradio.themes.Font('monospace')]
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    gradio.mount_gradio_app(
        app, page, '/', server_name=host, server_port=port, max_file_size=limits.max_bytes, show_error=False,
        ssr_mode=False, enable_monitoring=False, mcp_server=False, pwa=False, footer_links=[], allowed_paths=[],
        css=STYLE, theme=gradio.themes.Default(font=fonts, font_mono=mono))
    page.has_launched = True  # only then Gradio checks the paths of requests
    page.app = next(route.app for route in app.routes if isinstance(route, Mount))
    return TrustedHostMiddleware(RequestGuard(app, page_functions(page, limits), limits), list(hosts),
                                 www_redirect=False)


def serve(page: Any, host: str, port: int, limits: Limits, *, hosts: Sequence[str] = (), block: bool = True) -> str:
    """Serve the page; return its address, at once unless ``block``.

    Args:
        page: from ``build_page``.
        host, port: address to listen on.
        limits: limits of requests.
        hosts: host names by which browsers may open it, from ``allowed_hosts``; default: this machine's and ``host``.
        block: return after SIGINT, SIGTERM or ``page.close()``, with the uploads deleted.

    Raises:
        InputError: cannot listen there.
    """
    server = HttpServer(guarded_app(page, host, port, limits, hosts or allowed_hosts(host)), host, port)
    page.server = server  # page.close() ends it
    address = address_of(host, port)
    server.start()
    if not block:
        return address
    try:
        with ended_by_signals() as stop:
            print(f'the page is at {address} (Ctrl+C ends it)', flush=True)
            server.wait(stop)
    except KeyboardInterrupt:
        print('the page has ended', flush=True)
    finally:
        page.close(verbose=False)
        server.close()
        delete_uploads()
    return address
