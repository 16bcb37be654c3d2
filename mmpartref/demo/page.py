"""The page, on Gradio, with nothing loaded from elsewhere."""
import os
import threading
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.model_building import partimagenet_categories
from mmpartref.demo.limits import Limits, allowed_hosts, memory_notice
from mmpartref.demo.predict import answer
from mmpartref.demo.requests import EXAMPLE, FIND, Functions
from mmpartref.demo.server import PageServer, ended_by_signals
from mmpartref.demo.uploads import INTERVAL, MAX_AGE, delete_uploads, upload_folder, uploaded_file

TOY_NOTICE = ('**This is a toy model trained on drawings, it knows nothing of photos.** Try it on the drawings below; '
              'for photos start the demo with `--config` and `--checkpoint`.')
NOT_UPLOADED = 'A photo has to be uploaded; paths and addresses are not read.'
# Of this package: their categories are PartImageNet's.
PARTIMAGENET = 'PartImageNetReferringDataset'
STYLE = '.answers { width: 100% } .answers th, .answers td { text-align: left; padding: 0.2em 0.6em }'


def import_gradio() -> Any:
    """Return Gradio, its reports on who uses it and its history of runs turned off.

    Raises:
        ModuleNotFoundError: it is not installed.
    """
    upload_folder()  # Gradio notes some of its folders when it is imported
    os.environ.update(GRADIO_ANALYTICS_ENABLED='False', HF_HUB_DISABLE_TELEMETRY='1',
                      GRADIO_RUN_HISTORY='False', GRADIO_MCP_SERVER='False')
    try:
        import gradio
    except ImportError:
        raise ModuleNotFoundError("the demo needs Gradio: pip install 'mmpartref[demo]'", name='gradio') from None
    return gradio


def part_names(config: Config, model: Any) -> list[str]:
    """Return what to offer for a click: a detector's categories, PartImageNet's for its data set, else nothing."""
    if config.model.get('type') == 'ReferringDetector' and config.model.get('targets') != 'coco_objects':
        return [f'{name.super_category} {name.part}' for name in model.vocabulary.categories]
    kind = str(config.test_dataloader.dataset.get('type')).split('.')[-1]
    if kind == PARTIMAGENET:
        return [f"{each['super_category']} {each['part']}" for each in partimagenet_categories()]
    return []


def build_page(inferencer: PartReferInferencer, title: str, limits: Limits, *, names: Sequence[str] = (),
               examples: Sequence[tuple[str, list[str]]] = (), toy: bool = False) -> Any:
    """Return the page as Gradio's Blocks, its queue limited and the ways round the queue closed.

    Args:
        inferencer: the model.
        title: says which model it is.
        limits: of images, expressions and the queue.
        names: part names to choose from.
        examples: (image file, expressions) to choose from.
        toy: say that the model is a toy.
    """
    gradio = import_gradio()
    one_at_a_time = threading.Lock()

    def find(image: dict[str, Any] | None, text: str | None, chosen: list[str] | None = None) -> tuple[Any, ...]:
        path = uploaded_file(image.get('path')) if image else None
        if image and path is None:
            raise gradio.Error(NOT_UPLOADED, print_exception=False)
        try:
            with one_at_a_time:
                found = answer(inferencer, str(path) if path else None, text or '', chosen or [], limits)
        except ValueError as error:
            raise gradio.Error(str(error), print_exception=False) from None
        return found.overlay, found.table, found.pictures

    # Uploads are deleted after about an hour.
    with gradio.Blocks(title='mmpartref', analytics_enabled=False, delete_cache=(INTERVAL, MAX_AGE)) as page:
        gradio.Markdown(f'# Parts of a photo\n{title}')
        if toy:
            gradio.Markdown(TOY_NOTICE, elem_id='toy')
        with gradio.Row():
            with gradio.Column():
                asked = input_fields(gradio, names)
                button = gradio.Button('Find', variant='primary', elem_id='find')
                gradio.Markdown(memory_notice(limits), elem_id='memory')
            with gradio.Column():
                shown = result_fields(gradio)
        if examples:
            add_examples(gradio, examples, *asked[:2])
        # Gradio would open the image itself, before any limit; the inferencer's reader is the one to do it.
        button.click(find, asked, shown, api_name=FIND, concurrency_limit=1, preprocess=False)
    return page.queue(max_size=limits.max_waiting, default_concurrency_limit=1, api_open=False)


def input_fields(gradio: Any, names: Sequence[str]) -> list[Any]:
    """Return the fields for image and text, and for part names where there are some."""
    fields = [gradio.Image(label='Photo', type='filepath', image_mode=None, sources=['upload', 'clipboard'],
                           elem_id='photo', buttons=[]),
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
            gradio.Gallery(label='Each expression: mask, heat map', columns=2, format='png', object_fit='contain',
                           interactive=False, elem_id='pictures', buttons=[])]


def add_examples(gradio: Any, examples: Sequence[tuple[str, list[str]]], image: Any, text: Any) -> None:
    """Add examples to click, which fill image and text.

    Unlike ``gradio.Examples`` they go through the queue, so that no direct call needs to stay open.
    """
    samples = [[path, '\n'.join(expressions)] for path, expressions in examples]
    table = gradio.Dataset(components=[image, text], samples=samples, type='index', label='Drawings',
                           elem_id='examples')
    stored = [str(file['path']) for file, _ in table.samples]

    def example(index: int) -> tuple[str, str]:
        return stored[index], samples[index][1]

    table.click(example, [table], [image, text], api_name=EXAMPLE, show_progress='hidden')


def page_functions(page: Any, limits: Limits) -> Functions:
    """Return what the page's functions take, as its components say."""
    found = {each.api_name: each for each in page.fns.values()}
    names = [each.choices for each in found[FIND].inputs[2:]]
    examples = len(found[EXAMPLE].inputs[0].samples) if EXAMPLE in found else 0
    max_text = 2 * limits.max_expressions * (limits.max_characters + 2)
    return Functions({name: found[name]._id for name in (FIND, EXAMPLE) if name in found},
                     [value for _, value in names[0]] if names else None, max_text, examples)


def guarded_app(page: Any, host: str, port: int, limits: Limits, hosts: Sequence[str]) -> Any:
    """Return the page as an ASGI app behind the checks of ``Host`` header and requests."""
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
    page.has_launched = True  # only then does Gradio check the paths that it is given
    page.app = next(route.app for route in app.routes if isinstance(route, Mount))
    return TrustedHostMiddleware(RequestGuard(app, page_functions(page, limits), limits), list(hosts),
                                 www_redirect=False)


def serve(page: Any, host: str, port: int, limits: Limits, *, hosts: Sequence[str] = (), block: bool = True) -> str:
    """Serve the page; return its address, at once unless ``block``.

    Args:
        page: of ``build_page``.
        host, port: to listen on.
        limits: of requests.
        hosts: names under which browsers may open it, from ``allowed_hosts``; by default this machine's and ``host``.
        block: return when the page has ended, by SIGINT, SIGTERM or ``page.close()``, and uploads are deleted.

    Raises:
        ValueError: cannot listen there.
    """
    server = PageServer(guarded_app(page, host, port, limits, hosts or allowed_hosts(host)), host, port)
    page.server = server  # page.close() ends it
    name = 'localhost' if host in ('0.0.0.0', '::') else f'[{host}]' if ':' in host else host
    address = f'http://{name}:{port}/'
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
