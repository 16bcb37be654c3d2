"""The files for all images of a run, or of a share of it: COCO json, annotations, ranking, and the journal."""
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmpartref.apis.batch.batch_run import BatchResult
from mmpartref.apis.batch.image_outputs import COCO, DOUBT, TASK, ImageWriter
from mmpartref.apis.batch.journal import SUFFIX, Journal
from mmpartref.apis.batch.shares import Share, is_finished, write_share
from mmpartref.apis.doubt import Doubt
from mmpartref.apis.formats.annotation_files import AnnotationFiles
from mmpartref.files.output_path import is_stream
from mmpartref.text import shown_name

# Name of the journal in the output folder; next to a json it has the json's.
JOURNAL = 'infer'
# Images of a ranking that are printed.
MAX_RANKED = 10


@dataclass(frozen=True)
class RunFiles:
    """Names of the files.

    Attributes:
        share: of the images.
        json: path of the COCO json, '' for none.
        annotations: of --format.
        ranking: path of the CSV, '' for none.
    """
    share: Share = field(default_factory=Share)
    json: str = ''
    annotations: AnnotationFiles | None = None
    ranking: str = ''

    def json_path(self) -> str:
        """Return the path of the json, or that of the share's part."""
        return str(self.share.path(self.json, '.jsonl')) if self.json and self.share.count > 1 else self.json

    def annotations_path(self) -> Path | None:
        """Return the path of the share's part of the annotations; None where there is no part."""
        if self.share.count == 1 or self.annotations is None or self.annotations.kind not in ('coco', 'label-studio'):
            return None
        assert self.annotations.common_file is not None
        return self.share.path(self.annotations.common_file, '.jsonl')

    def parts(self) -> list[Path]:
        """Return the paths of a share's parts, for ``merge_shares``."""
        if self.share.count == 1:
            return []
        return [*([Path(self.json_path())] if self.json else []), *filter(None, [self.annotations_path()])]

    def paths(self) -> list[Path]:
        """Return the paths of all files that this process alone writes, but the journal."""
        paths = [self.json_path(), str(self.share.path(self.ranking)) if self.ranking else '']
        common = self.annotations_path()
        if self.share.count == 1 and self.annotations is not None:
            common = self.annotations.common_file
        return [*(Path(each) for each in paths if each and not is_stream(each)), *([common] if common else [])]

    def journal_path(self, out_dir: Path | None) -> Path | None:
        """Return the path of the journal: in the output folder, or, where nothing is written there, next to the json.

        None where neither is on a disk.
        """
        if out_dir is not None:
            return self.share.path(out_dir / f'{JOURNAL}{SUFFIX}')
        if not self.json or is_stream(self.json):
            return None
        return self.share.path(Path(self.json).with_suffix(SUFFIX))

    def are_finished(self, header: Mapping[str, Any]) -> bool:
        """Return whether this is a share of which all parts are written."""
        return bool(self.parts()) and all(is_finished(each, header) for each in self.parts())

    def write(self, writer: ImageWriter, journal: Journal, header: Mapping[str, Any],
              result: BatchResult) -> Iterator[str]:
        """Write the files from the journal, and yield lines about them."""
        if writer.ranking is not None:
            writer.ranking.doubts = [Doubt(**each) for each in journal.records(DOUBT)()]
            path = self.share.path(self.ranking)
            for doubt in writer.ranking.write(path)[:MAX_RANKED]:
                yield f'doubt {doubt.doubt:.3f}: {shown_name(doubt.image)}'
            yield f'{len(writer.ranking.doubts):,} images, the most doubtful first -> {path}'
        counts = result.done, len(result.failures)
        if writer.annotations is not None:
            kind = COCO if writer.annotations.kind == 'coco' else TASK
            if part := self.annotations_path():
                write_share(part, header, kind, counts, journal.lines())
            else:
                writer.annotations.finish(journal.records(kind))
            yield f'annotations -> {part or writer.annotations.folder}'
        if writer.coco is not None:
            if self.share.count > 1:
                write_share(Path(self.json_path()), header, COCO, counts, journal.lines())
                empty = sum(each['empty_masks'] for each in journal.records(COCO)())
            else:
                writer.coco.write(self.json, journal.records(COCO))
                empty = writer.coco.empty_masks
            yield f'{empty} empty masks have no annotation in {self.json_path()}'
