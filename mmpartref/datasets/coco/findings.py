"""What was found."""
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from mmpartref.datasets.coco.finding_codes import CODES, ERROR, SEVERITIES, WARNING


@dataclass(frozen=True)
class Finding:
    """One fault.

    Attributes:
        code: a key of ``CODES``.
        split: 'train', ..., or '' where it concerns the whole tree.
        file: relative to the root where it lies below it.
        record: "annotation 12", or '' where it concerns the whole file.
        message: what is wrong with this one.
    """
    code: str
    split: str
    file: str
    record: str
    message: str

    @property
    def severity(self) -> str:
        """'error', 'warning' or 'note'."""
        return CODES[self.code].severity

    def as_dict(self) -> dict[str, Any]:
        """Return everything, how to mend it included."""
        return {'severity': self.severity, **asdict(self), 'mend': CODES[self.code].mend}


class Findings:
    """All findings of an examination, in the order in which they were made.

    Args:
        root: folder that file names are shown relative to.
        strict: a warning is unhealthy, too.
    """

    def __init__(self, root: str | Path, strict: bool = False) -> None:
        self.root = Path(root)
        self.strict = strict
        self._all: list[Finding] = []

    def add(self, code: str, *, split: str = '', file: str | Path = '', record: str = '', message: str = '') -> None:
        """Note a fault.

        Raises:
            KeyError: the code is none of ``CODES``.
        """
        what = CODES[code].what
        self._all.append(Finding(code, split, self.name(file), record, message or what))

    def name(self, file: str | Path) -> str:
        """Return a file's name as it is shown."""
        return Path(file).as_posix().removeprefix(f'{self.root.as_posix()}/') if file else ''

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def by_code(self) -> dict[str, list[Finding]]:
        """Return the findings by code, the worst codes first, those of one severity in the order of ``CODES``."""
        groups: dict[str, list[Finding]] = {code: [] for severity in SEVERITIES for code in CODES
                                            if CODES[code].severity == severity}
        for finding in self._all:
            groups[finding.code].append(finding)
        return {code: members for code, members in groups.items() if members}

    def counts(self) -> dict[str, int]:
        """Return the number of findings of each severity."""
        found = Counter(finding.severity for finding in self._all)
        return {severity: found[severity] for severity in SEVERITIES}

    @property
    def healthy(self) -> bool:
        """Whether there is no error, and no warning either where those count."""
        counts = self.counts()
        return not counts[ERROR] and not (self.strict and counts[WARNING])


class Notebook:
    """The findings of one split: ``add`` fills in the split, and its json where no other file is named."""

    def __init__(self, findings: Findings, split: str, ann_file: str | Path) -> None:
        self.findings = findings
        self.split = split
        self.ann_file = ann_file

    def add(self, code: str, record: str = '', message: str = '', file: str | Path = '') -> None:
        """Note a fault of this split."""
        self.findings.add(code, split=self.split, file=file or self.ann_file, record=record, message=message)
