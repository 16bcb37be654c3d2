"""The queries of a json with their ground truth, looked up by what predictions of other programs name."""
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mmpartref.argument_checks import check_instance, check_path
from mmpartref.datasets.coco.read_coco import read_coco
from mmpartref.datasets.coco.records import Annotation
from mmpartref.datasets.coco.validate import CocoParts
from mmpartref.datasets.referring.part_refer_dataset import PartReferDataset
from mmpartref.errors import InputError
from mmpartref.evaluation.dumps.predictions import ImagePredictions, Prediction, as_text, make_prediction
from mmpartref.evaluation.dumps.queries import Query, QuerySet, queries_of_entries
from mmpartref.masks.rle import empty
from mmpartref.text import shown, shown_name


class QueryIndex:
    """Images and expressions to predict, with empty predictions.

    Args:
        ann_file: COCO json of parts.
        queries: of this json; None for one query per image and category, as ``PartReferDataset`` makes them.

    Attributes:
        ann_file: as given.
        images: by img_id; ``img_path`` is the path below the folder of the images.

    Raises:
        InputTypeError: an argument is of another type.
        MissingFileError: ``ann_file`` does not exist.
        InputError: the json cannot be used, or lacks what the queries name.
    """

    def __init__(self, ann_file: str | Path, queries: QuerySet | None = None) -> None:
        self.ann_file = check_path(ann_file, 'ann_file')
        document = read_coco(self.ann_file)
        if queries is None:
            dataset = PartReferDataset(ann_file=self.ann_file, test_mode=True)
            queries = QuerySet(queries_of_entries(map(dataset.get_data_info, range(len(dataset))), []))
        check_instance(queries, 'queries', QuerySet, 'read one with read_queries')
        self.images = unpredicted(document, queries.queries, self.ann_file)
        self._categories = categories_of(document, queries.queries)
        self._by_ref = {each.ref_id: image for image in self.images.values() for each in image.expressions}
        self._by_name: dict[str, list[int | str]] = {}
        for image in self.images.values():
            # A path, a file name and a name without suffix; of images with the same one, none.
            names = {image.img_path, os.path.basename(image.img_path), str(image.img_id)}
            for name in names | {os.path.splitext(each)[0] for each in names - {str(image.img_id)}}:
                self._by_name.setdefault(name, []).append(image.img_id)

    def image(self, name: int | str) -> ImagePredictions | None:
        """Return the image with an id, a path, a file name or a file name without suffix.

        Raises:
            InputError: several images have this name.
        """
        if name in self.images:
            return self.images[name]
        found = self._by_name.get(str(name), [])
        if len(found) > 1:
            raise InputError(f'{shown_name(str(name))} is the name of {len(found)} images of {self.ann_file}, e.g. '
                             f'{shown(found[0])} and {shown(found[1])}; give their img_id or path')
        return self.images[found[0]] if found else None

    def image_of(self, ref_id: str) -> ImagePredictions | None:
        """Return the image of a ref."""
        return self._by_ref.get(ref_id)

    def of_ref(self, image: ImagePredictions, ref_id: str) -> list[Prediction]:
        """Return the expressions of an image with a ref_id, at most one."""
        return [each for each in image.expressions if each.ref_id == ref_id]

    def of_category(self, image: ImagePredictions, category_id: int) -> list[Prediction]:
        """Return the expressions of an image whose part is a category of the json."""
        return [each for each in image.expressions if self._categories.get(each.ref_id) == category_id]

    def of_expression(self, image: ImagePredictions, expression: str) -> list[Prediction]:
        """Return the expressions of an image with these words; case and white space do not matter."""
        words = expression.lower().split()
        return [each for each in image.expressions if each.expression.lower().split() == words]


def unpredicted(document: CocoParts, queries: list[Query], ann_file: str) -> dict[int | str, ImagePredictions]:
    """Return the images of queries with empty predictions and the annotations' masks as truth, by img_id.

    Raises:
        InputError: the json lacks an image or an annotation of a query.
    """
    sizes = {image.img_id: (image.height, image.width) for image in document.images}
    owners: dict[int, tuple[int | str, Annotation]] = {
        each.ann_id: (image.img_id, each) for image in document.images for each in image.annotations}
    images: dict[int | str, ImagePredictions] = {}
    for query in queries:
        if query.img_id not in sizes:
            raise InputError(f'{ann_file} has no image {shown(query.img_id)}, which the query '
                             f'{shown_name(query.ref_id)} names; give the json that the queries were made of')
        for ann_id in query.ann_ids:
            if ann_id not in owners or owners[ann_id][0] != query.img_id:
                raise InputError(f'{ann_file} has no annotation {ann_id} of the image {shown(query.img_id)}, which the '
                                 f'query {shown_name(query.ref_id)} names; give the json that the queries were made of')
        size = sizes[query.img_id]
        image = images.setdefault(query.img_id, ImagePredictions(query.img_id, query.image, size, []))
        image.expressions.append(make_prediction(
            _ref(query, [owners[ann_id][1] for ann_id in query.ann_ids]), query.expression, as_text(empty(size)), 0.0,
            size, f'image {shown(query.img_id)}'))
    return images


def _ref(query: Query, annotations: list[Annotation]) -> Mapping[str, Any]:
    return {**vars(query), 'rles': [each.rle for each in annotations]}


def categories_of(document: CocoParts, queries: list[Query]) -> dict[str, int]:
    """Return the category id of each query that is of one category, by ref_id."""
    of_annotation = {each.ann_id: each.category_id for image in document.images for each in image.annotations}
    by_name = {tuple(name): category_id for category_id, name in document.names.items()}
    found: dict[str, int] = {}
    for query in queries:
        ids = {of_annotation[ann_id] for ann_id in query.ann_ids}
        category_id = ids.pop() if len(ids) == 1 else by_name.get((query.super_category, query.part))
        if category_id is not None:
            found[query.ref_id] = category_id
    return found
