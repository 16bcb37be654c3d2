"""The web page, built with Gradio; it loads nothing from other servers."""
import html
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.model_building import partimagenet_categories
from mmpartref.datasets import PartImageNetReferringDataset
from mmpartref.demo.limits import Limits, memory_notice
from mmpartref.demo.predict import predict, save_outputs
from mmpartref.demo.requests import EXAMPLE, FIND, FIND_EXAMPLE, NAMES, SAVE, Functions
from mmpartref.demo.uploads import (
    INTERVAL,
    MAX_AGE,
    delete_uploads,
    files_in_folder,
    make_room,
    upload_folder,
    uploaded_file,
)
from mmpartref.engine.config.config_nodes import builds
from mmpartref.errors import InputError, MissingPackageError, MMPartRefError
from mmpartref.models.detectors import ReferringDetector
from mmpartref.registry import DATASETS
from mmpartref.serving.allowed_hosts import allowed_hosts
from mmpartref.serving.http_server import HttpServer, address_of, ended_by_signals

TOY_NOTICE = ('**This is a toy model, trained on drawings only; it does not work on photographs.** Try the drawings '
              'below; for photographs start the demo with `--config` and `--checkpoint`.')
NOT_UPLOADED = 'The image must be uploaded; paths and URLs are not read.'
# White on these has a contrast of at least 4.5, as WCAG 2 AA demands.
BUTTON = {f'button_primary_background_fill{state}{mode}': f'*primary_{shade}'
          for state, shade in (('', 700), ('_hover', 800)) for mode in ('', '_dark')}
FILES = Path(__file__).parent / 'page_files'
# Cuts the layers of the view at a threshold t: opacity 255 (alpha - t).
CUT = ('<svg width="0" height="0" aria-hidden="true"><filter id="cut"><feComponentTransfer><feFuncA id="cut-alpha" '
       'type="linear" slope="255" intercept="{}"/></feComponentTransfer></filter></svg>')
SET_THRESHOLD = "t => document.querySelector('#cut-alpha').setAttribute('intercept', -255 * t)"


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


def part_names(config: Config, model: Any) -> list[tuple[str, str]]:
    """Return (object, part) to choose from: a detector's categories, or PartImageNet's for its dataset."""
    if isinstance(model, ReferringDetector) and model.targets != 'coco_objects':
        return [(name.super_category, name.part) for name in model.vocabulary.categories]
    if builds(DATASETS, config.test_dataloader.dataset, PartImageNetReferringDataset):
        return [(each['super_category'], each['part']) for each in partimagenet_categories()]
    return []


def build_page(inferencer: PartReferInferencer, title: str, limits: Limits, *, names: Sequence[tuple[str, str]] = (),
               examples: Sequence[tuple[str, list[str]]] = (), toy: bool = False) -> Any:
    """Return the page as Gradio's Blocks with a limited queue, which no call can bypass.

    Args:
        inferencer: the model.
        title: description of the model.
        limits: limits of images, expressions and the queue.
        names: (object, part) to choose from.
        examples: (image file, expressions) to choose from.
        toy: show that the model is a toy.
    """
    gradio = import_gradio()
    one_at_a_time = threading.Lock()

    def guarded(function: Callable[..., Any], image: dict[str, Any] | None, *values: Any) -> tuple[Any, str]:
        """Return a function's result for an uploaded image, or what leaves the page as it is; and an error as HTML."""
        path = uploaded_file(image.get('path')) if image else None
        if image and path is None:
            raise gradio.Error(NOT_UPLOADED, print_exception=False)
        try:
            with one_at_a_time:
                return function(inferencer, path, *values), ''
        except MMPartRefError as error:
            return gradio.skip(), f'<p class="problem" role="alert">{html.escape(str(error))}</p>'

    def find(image: dict[str, Any] | None, text: str | None) -> tuple[Any, str]:
        return guarded(predict, image, text or '', limits)

    def save_with_room(inferencer: PartReferInferencer, path: Path | None, text: str, threshold: float) -> Path:
        if make_room(protected, limits.max_stored) > limits.max_stored:
            raise InputError('The storage for results is full; try again in some minutes.')
        return save_outputs(inferencer, path, text, threshold, limits, upload_folder())

    def save(image: dict[str, Any] | None, text: str | None, threshold: float) -> tuple[Any, str]:
        path, problem = guarded(save_with_room, image, text or '', threshold)
        return path if problem else gradio.File(str(path), visible=True), problem

    # Uploads are deleted after about an hour.
    with gradio.Blocks(title='mmpartref', analytics_enabled=False, delete_cache=(INTERVAL, MAX_AGE)) as page:
        gradio.Markdown(f'# Part segmentation\n{title}')
        if toy:
            gradio.Markdown(TOY_NOTICE, elem_id='toy')
        gradio.HTML(CUT.format(-255 * inferencer.threshold), elem_id='cut-definition')
        with gradio.Row():
            with gradio.Column():
                image, text = input_fields(gradio, names)
                button = gradio.Button('Segment (Ctrl+Enter)', variant='primary', elem_id='find')
                example = add_examples(gradio, examples, image, text) if examples else None
                gradio.Markdown(memory_notice(limits), elem_id='memory')
            with gradio.Column():
                problem = gradio.HTML(elem_id='problem')
                view = gradio.HTML(elem_id='view')
                threshold = gradio.Slider(0, 1, inferencer.threshold, step=0.01, label='Threshold', elem_id='threshold')
                saving = gradio.Button('Make a zip: masks, overlay, COCO json', elem_id='save')
                zipped = gradio.File(label='Zip', elem_id='zip', interactive=False, visible=False)
        call = {'concurrency_limit': 1, 'preprocess': False}
        if example is not None:
            example.then(find, [image, text], [view, problem], api_name=FIND_EXAMPLE, **call)
        # Without preprocessing, as Gradio would open the image before any limit is checked.
        button.click(find, [image, text], [view, problem], api_name=FIND, **call)
        saving.click(save, [image, text, threshold], [zipped, problem], api_name=SAVE, **call)
        threshold.change(None, [threshold], None, js=SET_THRESHOLD, api_name=False)
    protected = files_in_folder()  # the examples
    return page.queue(max_size=limits.max_waiting, default_concurrency_limit=1, api_open=False)


def input_fields(gradio: Any, names: Sequence[tuple[str, str]]) -> tuple[Any, Any]:
    """Return the fields for image and text; part names, if there are any, fill in the text."""
    image = gradio.Image(label='Image', type='filepath', image_mode=None, sources=['upload', 'clipboard'],
                         elem_id='image', buttons=[])
    text = gradio.Textbox(label='Expressions, one per line', lines=3, elem_id='expressions',
                          placeholder='the tire of the car\ncar side mirror')
    if names:
        gradio.HTML(names_html(names), elem_id='names')
    return image, text


def names_html(names: Sequence[tuple[str, str]]) -> str:
    """Return part names as HTML, grouped by object; ``page_files/demo.js`` writes the chosen ones into the text."""
    groups: dict[str, list[str]] = {}
    for owner, part in names:
        groups.setdefault(owner, []).append(part)
    details = ''
    for owner, parts in groups.items():
        boxes = ''.join(f'<label><input type="checkbox" value="{html.escape(f"{owner} {part}".strip())}"> '
                        f'{html.escape(part)}</label>' for part in parts)
        details += (f'<details><summary>{html.escape(owner or "parts")} <span class="count">({len(parts)})</span>'
                    f'</summary>{boxes}</details>')
    return (f'<details><summary>Part names</summary><div class="parts">{details}</div>'
            '<button id="clear-names" type="button">Clear part names</button></details>')


def add_examples(gradio: Any, examples: Sequence[tuple[str, list[str]]], image: Any, text: Any) -> Any:
    """Add clickable examples, which fill image and text; return the event.

    Unlike ``gradio.Examples`` they go through the queue, so that no direct call must stay open.
    """
    samples = [[path, '\n'.join(expressions)] for path, expressions in examples]
    table = gradio.Dataset(components=[image, text], samples=samples, type='index', label='Drawings',
                           elem_id='examples')
    stored = [str(file['path']) for file, _ in table.samples]

    def example(index: int) -> tuple[str, str]:
        return stored[index], samples[index][1]

    return table.click(example, [table], [image, text], api_name=EXAMPLE, show_progress='hidden')


def page_functions(page: Any, limits: Limits) -> Functions:
    """Return the page's functions with their arguments, from its components."""
    functions = {each.api_name: each for each in page.fns.values()}
    examples = len(functions[EXAMPLE].inputs[0].samples) if EXAMPLE in functions else 0
    max_text = 2 * limits.max_expressions * (limits.max_characters + 2)
    return Functions({name: functions[name]._id for name in NAMES if name in functions}, max_text, examples)


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
        css=(FILES / 'demo.css').read_text(), js=(FILES / 'demo.js').read_text(),
        theme=gradio.themes.Default(primary_hue='blue', font=fonts, font_mono=mono).set(**BUTTON))
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
