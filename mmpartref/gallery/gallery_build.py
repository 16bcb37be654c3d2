"""Build a gallery from dumps and images."""
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from PIL import Image

from mmpartref.apis.results import shrink_to
from mmpartref.argument_checks import (
    check_choice,
    check_instance,
    check_integer,
    check_path,
    check_sequence,
    check_switch,
    check_text,
)
from mmpartref.errors import MissingFileError
from mmpartref.evaluation.comparison.compare_dumps import name_entries
from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.gallery import page_data
from mmpartref.gallery.entries import ImageEntries, draw_sample, read_entries
from mmpartref.gallery.folder import check_folder, gallery_folder
from mmpartref.gallery.gallery_images import image_paths, load_image
from mmpartref.gallery.pair_comparison import PairComparison, pair_dumps
from mmpartref.gallery.thumbnails import draw_difference, draw_prediction
from mmpartref.gallery.write_page import write_assets, write_data, write_page
from mmpartref.progress import track
from mmpartref.text import shown_name

IMAGE_QUALITY, THUMBNAIL_QUALITY = 90, 82


OnMissingImage = Literal['raise', 'skip']


@dataclass(frozen=True)
class Options:
    """Options of a gallery.

    Attributes:
        images: image folder; None for the paths in the dump.
        on_missing_image: skip the expressions of a missing image, or raise an error.
        limit: show this many expressions, drawn at random; None for all.
        title: of the first page; None for the model's name.
        names: of the models, one per dump; None for the names in the dumps.
        thumbnail_side, image_side: longest side of the thumbnails and of the enlarged images, in pixels.
        overwrite: write into a folder that has other files.

    Raises:
        InputTypeError, InputError: one is of another type, or out of range.
    """
    images: str | Path | None = None
    on_missing_image: OnMissingImage = 'raise'
    limit: int | None = None
    title: str | None = None
    names: Sequence[str] | None = None
    thumbnail_side: int = 320
    image_side: int = 1024
    overwrite: bool = False

    def __post_init__(self) -> None:
        check_choice(self.on_missing_image, 'on_missing_image', get_args(OnMissingImage))
        check_switch(self.overwrite, 'overwrite')
        check_integer(self.thumbnail_side, 'thumbnail_side')
        check_integer(self.image_side, 'image_side')
        if self.limit is not None:
            check_integer(self.limit, 'limit')
        if self.images is not None:
            check_path(self.images, 'images')
        if self.title is not None:
            check_text(self.title, 'title')


@dataclass(frozen=True)
class GalleryResult:
    """The pages of a gallery, and the numbers of expressions and images that were shown and skipped."""
    pages: list[Path]
    expressions: int
    images: int
    skipped_expressions: int
    skipped_images: int


def build_gallery(dump_file: str | Path, out: str | Path, *, against: Sequence[str | Path] = (),
                  options: Options | None = None) -> GalleryResult:
    """Write a gallery of a dump into the folder ``out``, with a page per dump to compare it with.

    Raises:
        InputTypeError: an argument is of another type.
        FileNotFoundError: a dump or an image does not exist.
        FileExistsError, NotADirectoryError: see ``folder.check_folder``.
        ValueError: a dump is damaged or not a plain file, two dumps have different refs, an image has another size
            than its masks, is not a plain file or has a path outside its folder, or an option is invalid.
    """
    options = Options() if options is None else options
    check_instance(options, 'options', Options, 'make one')
    files = [check_path(dump_file, 'dump_file'), *(check_path(file, f'against[{number}]') for number, file in
                                                   enumerate(check_sequence(against, 'against', 'paths')))]
    out = Path(check_path(out, 'out'))
    check_folder(out, options.overwrite)
    dump, *others = map(read_dump, files)
    names = name_entries([dump, *others], files, options.names)
    everything = read_entries(dump)
    comparisons = [pair_dumps(everything, files[0], other, file, name)
                   for other, file, name in zip(others, files[1:], names[1:], strict=True)]
    found, skipped = find_images(draw_sample(everything, options.limit), options)
    images = [each for each, _ in found]
    site = page_data.Site(options.title or names[0], names[0], dump, everything, images, comparisons,
                          page_data.notes(everything, images, skipped))
    with gallery_folder(out, overwrite=options.overwrite) as folder:
        write_assets(folder)
        write_images(folder, found, comparisons, options)
        write_pages(folder, site)
    return GalleryResult([out / file for file, _ in page_data.page_names(site)],
                         sum(len(each.entries) for each in images), len(images),
                         sum(len(each.entries) for each in skipped), len(skipped))


def find_images(shown: Sequence[ImageEntries],
                options: Options) -> tuple[list[tuple[ImageEntries, Path]], list[ImageEntries]]:
    """Return the images that exist with their paths, and those that do not.

    Raises:
        FileNotFoundError: an image is missing and ``on_missing_image`` is 'raise', or all are missing.
        ValueError: see ``image_paths``.
    """
    paths = image_paths([each.image for each in shown], options.images)
    pairs = list(zip(shown, paths, strict=True))
    # ``load_image`` reports a pipe or a folder.
    found = [(each, path) for each, path in pairs if os.path.exists(path)]
    missing = [(each, path) for each, path in pairs if not os.path.exists(path)]
    if missing and (options.on_missing_image == 'raise' or not found):
        raise MissingFileError(f'{len(missing)} of {len(paths)} images do not exist, the first is '
                               f'{shown_name(str(missing[0][1]))}; give their folder with --images, or skip them with '
                               '--on-missing-image skip')
    return found, [each for each, _ in missing]


def write_images(folder: Path, images: Sequence[tuple[ImageEntries, Path]], comparisons: Sequence[PairComparison],
                 options: Options) -> None:
    """Write the files of each image: the image, its masks and the thumbnails of its entries."""
    for name in ('images', 'thumbs', *(page_data.comparison_name(number) for number in range(len(comparisons)))):
        (folder / name).mkdir()
    for number, (each, path) in enumerate(track(images, 'images')):
        pixels = load_image(path, each.image)
        enlarged, _ = shrink_to(pixels, [], options.image_side)
        Image.fromarray(enlarged).save(folder / 'images' / f'{number}.jpg', quality=IMAGE_QUALITY)
        write_data(folder, f'images/{number}', page_data.image_masks(each))
        small, _ = shrink_to(pixels, [], options.thumbnail_side)
        for item, entry in enumerate(each.entries):
            file = page_data.thumbnail_file(number, item)
            truth, prediction = entry.truth_mask(), entry.pred_mask()
            thumbnail = Image.fromarray(draw_prediction(small, truth, prediction))
            thumbnail.save(folder / 'thumbs' / file, quality=THUMBNAIL_QUALITY)
            for place, comparison in enumerate(comparisons):
                if entry.key in comparison.others:
                    other = comparison.others[entry.key].pred_mask()
                    thumbnail = Image.fromarray(draw_difference(small, truth, prediction, other))
                    thumbnail.save(folder / page_data.comparison_name(place) / file, quality=THUMBNAIL_QUALITY)
        for place, comparison in enumerate(comparisons):
            write_data(folder, f'{page_data.comparison_name(place)}/{number}',
                       page_data.comparison_masks(each, comparison))


def write_pages(folder: Path, site: page_data.Site) -> None:
    """Write the gallery's page and one per comparison."""
    contents = [page_data.gallery_page(site)]
    contents += [page_data.comparison_page(site, number) for number in range(len(site.comparisons))]
    for (file, title), content in zip(page_data.page_names(site), contents, strict=True):
        name = Path(file).stem
        write_data(folder, name, content)
        write_page(folder, file, title, name)
