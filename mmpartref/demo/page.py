"""The page, on Gradio, with nothing loaded from elsewhere."""
import os
from collections.abc import Sequence
from typing import Any

from mmengine.config import Config

from mmpartref.apis import PartReferInferencer
from mmpartref.apis.model_building import partimagenet_categories
from mmpartref.apis.photo_url import is_url
from mmpartref.demo.answer import answer
from mmpartref.demo.limits import Limits

TOY_NOTICE = ('**This is a toy model trained on drawings, it knows nothing of photos.** Try it on the drawings below; '
              'for photos start the demo with `--config` and `--checkpoint`.')
# Of this package: their categories are PartImageNet's.
PARTIMAGENET = 'PartImageNetReferringDataset'
STYLE = '.answers { width: 100% } .answers th, .answers td { text-align: left; padding: 0.2em 0.6em }'


def import_gradio() -> Any:
    """Return Gradio, its reports on who uses it turned off.

    Raises:
        ImportError: it is not installed.
    """
    os.environ.update(GRADIO_ANALYTICS_ENABLED='False', HF_HUB_DISABLE_TELEMETRY='1')
    try:
        import gradio
    except ImportError:
        raise ImportError("the demo needs Gradio: pip install 'mmpartref[demo]'") from None
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
    """Return the page as Gradio's Blocks, its queue limited.

    Args:
        inferencer: the model.
        title: says which model it is.
        limits: of photos, expressions and the queue.
        names: part names to choose from.
        examples: (photo, expressions) to choose from.
        toy: say that the model is a toy.
    """
    gradio = import_gradio()

    def find(path: str | None, text: str | None, chosen: list[str] | None = None) -> tuple[Any, ...]:
        try:
            found = answer(inferencer, path, text or '', chosen or [], limits)
        except (ValueError, FileNotFoundError) as error:
            raise gradio.Error(str(error), print_exception=False) from None
        return found.overlay, found.table, found.pictures

    # What was uploaded is deleted within the hour.
    with gradio.Blocks(title='mmpartref', analytics_enabled=False, delete_cache=(600, 3600)) as page:
        gradio.Markdown(f'# Parts of a photo\n{title}')
        if toy:
            gradio.Markdown(TOY_NOTICE, elem_id='toy')
        with gradio.Row():
            with gradio.Column():
                photo = gradio.Image(label='Photo', type='filepath', image_mode=None, sources=['upload', 'clipboard'],
                                     elem_id='photo', buttons=[])
                # Gradio would open the file itself, before any limit; the inferencer's reader is the one to do it.
                photo.preprocess = lambda payload: payload.path if payload else None
                keep_off_the_network(photo)
                text = gradio.Textbox(label='Expressions, one per line', lines=3, elem_id='expressions',
                                      placeholder='the tire of the car\ncar side mirror')
                asked = [photo, text]
                if names:
                    with gradio.Accordion('Part names', open=False):
                        asked.append(gradio.CheckboxGroup(list(names), show_label=False, elem_id='names'))
                button = gradio.Button('Find', variant='primary', elem_id='find')
            with gradio.Column():
                shown = [gradio.Image(label='Masks', interactive=False, format='png', elem_id='overlay', buttons=[]),
                         gradio.HTML(elem_id='table'),
                         gradio.Gallery(label='Each expression: mask, heat map', columns=2, format='png',
                                        object_fit='contain', interactive=False, elem_id='pictures', buttons=[])]
        if examples:
            gradio.Examples([[path, '\n'.join(expressions)] for path, expressions in examples], [photo, text],
                            cache_examples=False, label='Drawings')
        button.click(find, asked, shown, api_name='find', concurrency_limit=1)
    return page.queue(max_size=limits.max_waiting, default_concurrency_limit=1)


def keep_off_the_network(component: Any) -> None:
    """Refuse addresses in place of uploads, which Gradio would fetch for whoever sends one."""
    gradio, fetch = import_gradio(), component.async_move_resource_to_block_cache

    async def local_only(path: Any) -> Any:
        if path is not None and is_url(str(path)):
            raise gradio.Error('A photo has to be uploaded, not named by its address.', print_exception=False)
        return await fetch(path)

    component.async_move_resource_to_block_cache = local_only


def serve(page: Any, host: str, port: int, limits: Limits, *, block: bool = True) -> str:
    """Serve the page; return its address, at once unless ``block``."""
    gradio = import_gradio()
    fonts = [gradio.themes.Font(name) for name in ('system-ui', 'sans-serif')]
    mono = [gradio.themes.Font('monospace')]
    _, address, _ = page.launch(
        server_name=host, server_port=port, share=False, max_file_size=limits.max_bytes, max_threads=8, quiet=True,
        prevent_thread_lock=True, ssr_mode=False, enable_monitoring=False, mcp_server=False, pwa=False, footer_links=[],
        inbrowser=False, css=STYLE, theme=gradio.themes.Default(font=fonts, font_mono=mono))
    print(f'the page is at {address} (Ctrl+C ends it)', flush=True)
    if block:
        page.block_thread()
    return str(address)
