"""One photo, its expressions, and what a model says of them."""
from mmengine.structures import BaseDataElement


class ReferringDataSample(BaseDataElement):
    """One photo with its K expressions.

    Metainfo (written by ``PackReferringInputs``):
        img_id (int), img_path (str), ori_shape ((h, w) of the photo), img_shape ((H, W) of the network input),
        letterbox_matrix ((2, 3) float64, maps photo pixel indices to network-input pixel indices).

    Data:
        expressions (list[str], K): what the model is asked.
        refs (list[dict], K): where each expression comes from; keys ``ref_id`` (str), ``category_id`` (int), ``part``,
            ``super_category`` (str), ``ann_ids`` (list[int]) and ``rles`` (one compressed COCO RLE per annotation, at
            the photo's own size); for a part that is not there also ``absent``, its kind, and then no ``rles``. No
            ``refs`` for a user's own photo.
        gt_masks (uint8 tensor (K, H, W), 0..255): letterboxed training targets. Training only.
        pred_masks (bool tensor (K, h, w)), pred_scores (float tensor (K,)): written by the model's ``predict``.
        pred_presence (float tensor (K,), 0 to 1): the model's word on whether the part is there at all.
        part_presence (dict[str, bool]): labels of part categories and whether the photo shows such a part, where the
            data set is asked to tell (``photo_labels``).
        pred_part_presence (dict[str, float], 0 to 1): the model's word on it.
        pred_candidates (list, K): pairs of scores (C,) and bool masks (C, h, w), where the model keeps them.
    """
