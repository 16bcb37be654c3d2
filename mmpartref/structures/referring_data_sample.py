"""Data element of one image with its referring expressions."""
from mmengine.structures import BaseDataElement


class ReferringDataSample(BaseDataElement):
    """One image with its K expressions, their ground truth and the model's predictions.

    Metainfo (written by ``PackReferringInputs``):
        img_id (int), img_path (str), ori_shape ((h, w) of the image), img_shape ((H, W) of the network input),
        pad_shape (the same, under the name that mmdet's tools read), letterbox_matrix ((2, 3) float64, maps pixel
        indices of the image to those of the network input); where a transform writes them, scale_factor ((x, y), of a
        resize without margins), flip (bool) and flip_direction (str); skipped (str, why the image could not be read).

    Data:
        expressions (list[str], K): the model's text input.
        refs (list[dict], K): the dataset's record of each expression; keys ``ref_id`` (str), ``category_id`` (int),
            ``part``, ``super_category`` (str), ``ann_ids`` (list[int]) and ``rles`` (one compressed COCO RLE per
            annotation, at the image's own size); for a part that is not in the image also ``absent``, the kind of its
            absence, and then no ``rles``. Missing in inference.
        gt_masks (uint8 tensor (K, H, W), 0..255): letterboxed training targets. Training only.
        truncated (list[str], K): words that the text encoder does not see because an expression has too many tokens, ''
            for none; missing where all expressions fit. Evaluation only.
        pred_masks (bool tensor (K, h, w)), pred_scores (float tensor (K,)): written by the model's ``predict``.
        pred_presence (float tensor (K,), 0 to 1): predicted probability that the part is in the image.
        part_presence (dict[str, bool]): labels of part categories, true if the image has such a part; written where the
            dataset has the entry step ``labels``.
        pred_part_presence (dict[str, float], 0 to 1): the predicted probability of each.
        pred_candidates (list, K): pairs of scores (C,) and bool masks (C, h, w), where the model returns them.
    """
