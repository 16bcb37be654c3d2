"""From dumps and photos to a finished gallery."""
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mmengine.utils import ProgressBar

from mmpartref.errors import InputError, MissingFileError
from mmpartref.evaluation.comparison.compare_dumps import name_entries
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.files.plain_file import check_plain
from mmpartref.gallery import page_data
from mmpartref.gallery.entries import PhotoEntries, draw_sample, read_entries
from mmpartref.gallery.folder import check_folder, gallery_folder
from mmpartref.gallery.gallery_images import photo_paths, read_photo, shrink, write_jpeg
from mmpartref.gallery.pair_comparison import Versus, read_versus
from mmpartref.gallery.thumbnails import draw_difference, draw_prediction
from mmpartref.gallery.write_page import write_assets, write_data, write_page
from mmpartref.text import shown_name

PHOTO_QUALITY, THUMBNAIL_QUALITY = 90, 82


@dataclass(frozen=True)
class Options:
    """How a gallery is made.

    Attributes:
        photos: folder to look for the photos in; None for the paths in the dump.
        on_missing_photo: leave out the expressions of a photo that is missing, or refuse.
        limit: show so many expressions, drawn at random; None for all.
        title: of the first page; None for the model's name.
        names: what to call the models, one per dump; None for what the dumps say.
        thumbnail_side, photo_side: longest side in pixels of the pictures on the cards and of the enlarged photos.
        overwrite: write into a folder that holds other files.
    """
    photos: str | None = None
    on_missing_photo: Literal['raise', 'skip'] = 'raise'
    limit: int | None = None
    title: str | None = None
    names: Sequence[str] | None = None
    thumbnail_side: int = 320
    photo_side: int = 1024
    overwrite: bool = False


@dataclass(frozen=True)
class Built:
    """What was made: pages, and how many expressions and photos they show or had to leave out."""
    pages: list[Path]
    expressions: int
    photos: int
    skipped_expressions: int
    skipped_photos: int


def build_gallery(dump_file: str, out: str | Path, *, against: Sequence[str] = (),
                  options: Options | None = None) -> Built:
    """Write a gallery of a dump into the folder ``out``, with one more page for each dump to compare it with.

    Raises:
        FileNotFoundError: a dump or a photo does not exist.
        FileExistsError, NotADirectoryError: see ``folder.check_folder``.
        ValueError: a dump is damaged or not a plain file, two dumps hold different questions, a photo does not fit,
            is not a plain file or has a path that leads out of its folder, or an option is unusable.
    """
    options = options or Options()
    if min(options.thumbnail_side, options.photo_side) < 1:
        raise InputError(f'pictures of {min(options.thumbnail_side, options.photo_side)} pixels cannot be drawn; give '
                         'sides of at least 1')
    check_folder(Path(out), options.overwrite)
    for each in (dump_file, *against):
        check_dump_file(each)
    dump, others = read_dump(dump_file), [read_dump(each) for each in against]
    names = name_entries([dump, *others], [dump_file, *against], options.names)
    everything = read_entries(dump)
    versus = [read_versus(everything, dump_file, other, file, name)
              for other, file, name in zip(others, against, names[1:], strict=True)]
    shown = draw_sample(everything, options.limit)
    found, skipped = find(shown, options)
    built = Built([], sum(len(each.entries) for each, _ in found), len(found),
                  sum(len(each.entries) for each in skipped), len(skipped))
    with gallery_folder(Path(out), overwrite=options.overwrite) as folder:
        write_assets(folder)
        write_pictures(folder, found, versus, options)
        photos = [each for each, _ in found]
        site = page_data.Site(options.title or names[0], names[0], dump, everything, photos, versus,
                              page_data.notes(everything, photos, skipped))
        write_pages(folder, site)
    built.pages.extend(Path(out) / file for file, _ in page_data.page_names(site))
    return built


def check_dump_file(file: str) -> None:
    """Check that a dump is a plain file with content; ``read_dump`` reports one that does not exist.

    Raises:
        ValueError: it is not a plain file, or is empty.
    """
    if os.path.exists(file) and not check_plain(os.stat(file), f'the dump {shown_name(file)}'):
        raise InputError(f'the dump {shown_name(file)} is empty; write it again with tools/test.py --dump')


def find(shown: Sequence[PhotoEntries],
         options: Options) -> tuple[list[tuple[PhotoEntries, Path]], list[PhotoEntries]]:
    """Return photos with their paths, and the photos that are missing.

    Raises:
        FileNotFoundError: one is missing and may not be, or all are.
        ValueError: the path of one leads out of its folder, see ``photo_paths``.
    """
    paths = photo_paths([each.photo for each in shown], options.photos)
    pairs = list(zip(shown, paths, strict=True))
    # A pipe or a folder is not missing: ``read_photo`` reports it.
    found = [(each, path) for each, path in pairs if os.path.exists(path)]
    skipped = [each for each, path in pairs if not os.path.exists(path)]
    if skipped and (options.on_missing_photo == 'raise' or not found):
        first = shown_name(str(next(path for path in paths if not os.path.exists(path))))
        raise MissingFileError(f'{len(skipped)} of {len(paths)} photos do not exist, the first is {first}; say with '
                               '--photos where they lie, or leave them out with --on-missing-photo skip')
    return found, skipped


def write_pictures(folder: Path, photos: Sequence[tuple[PhotoEntries, Path]], versus: Sequence[Versus],
                   options: Options) -> None:
    """Write what is drawn or loaded photo by photo: the photo, its masks, its cards' pictures."""
    for name in ('photos', 'thumbs', *(page_data.versus_name(number) for number in range(len(versus)))):
        (folder / name).mkdir()
    bar = ProgressBar(len(photos), file=sys.stderr) if sys.stderr.isatty() else None
    for number, (each, path) in enumerate(photos):
        image = read_photo(path, each.photo)
        write_jpeg(folder / 'photos' / f'{number}.jpg', shrink(image, options.photo_side), PHOTO_QUALITY)
        write_data(folder, f'photos/{number}', page_data.photo_masks(each))
        small = shrink(image, options.thumbnail_side)
        for item, entry in enumerate(each.entries):
            file = page_data.thumbnail_file(number, item)
            truth, prediction = entry.truth_mask(), entry.pred_mask()
            write_jpeg(folder / 'thumbs' / file, draw_prediction(small, truth, prediction), THUMBNAIL_QUALITY)
            for place, other in enumerate(versus):
                if entry.key in other.others:
                    picture = draw_difference(small, truth, prediction, other.others[entry.key].pred_mask())
                    write_jpeg(folder / page_data.versus_name(place) / file, picture, THUMBNAIL_QUALITY)
        for place, other in enumerate(versus):
            write_data(folder, f'{page_data.versus_name(place)}/{number}', page_data.versus_masks(each, other))
        if bar is not None:
            bar.update()


def write_pages(folder: Path, site: page_data.Site) -> None:
    """Write the gallery's page and one per comparison."""
    contents = [page_data.gallery_page(site)]
    contents += [page_data.versus_page(site, number) for number in range(len(site.versus))]
    for (file, title), content in zip(page_data.page_names(site), contents, strict=True):
        name = Path(file).stem
        write_data(folder, name, content)
        write_page(folder, file, title, name)
