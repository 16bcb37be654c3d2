"""Faults found in a dataset."""
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from mmpartref.datasets.coco.finding_codes import CODES, ERROR, SEVERITIES, WARNING


@dataclass(frozen=True)
class Finding:
    """One fault.

    Attributes:
        code: a key of ``CODES``.
        record: for example "annotation 12"; '' where it concerns the whole file.
        message: what is wrong and how to fix it; '' for the code's own description.
        split: 'train', ..., or '' where it concerns all splits.
        file: relative to the dataset's root where it is inside.
    """
    code: str
    record: str = ''
    message: str = ''
    split: str = ''
    file: str = ''

    @property
    def severity(self) -> str:
        """'error', 'warning' or 'note'."""
        return CODES[self.code].severity

    def as_dict(self) -> dict[str, Any]:
        """Return all fields, the severity and the fix, for a json."""
        return {'severity': self.severity, **asdict(self), 'fix': CODES[self.code].fix}


class Findings:
    """All findings of a dataset, in the order in which they were made.

    Args:
        root: folder that file names are relative to.
        strict: warnings make a dataset unhealthy, too.
    """

    def __init__(self, root: str | Path, strict: bool = False) -> None:
        self.root = Path(root)
        self.strict = strict
        self._all: list[Finding] = []

    def add(self, finding: Finding, file: str | Path = '') -> None:
        """Add a finding, with the name of its file relative to the root.

        Raises:
            KeyError: the code is not one of ``CODES``.
        """
        message = finding.message or CODES[finding.code].what
        self._all.append(replace(finding, message=message, file=self.name(file) if file else finding.file))

    def name(self, file: str | Path) -> str:
        """Return a file's name relative to the root."""
        return Path(file).as_posix().removeprefix(f'{self.root.as_posix()}/') if file else ''

    def __iter__(self) -> Iterator[Finding]:
        return iter(self._all)

    def __len__(self) -> int:
        return len(self._all)

    def by_code(self) -> dict[str, list[Finding]]:
        """Return the findings by code, the worst severity first, then in the order of ``CODES``."""
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
        """Whether there is no error and, if ``strict``, no warning."""
        counts = self.counts()
        return not counts[ERROR] and not (self.strict and counts[WARNING])


class SplitFindings:
    """Adds findings of one split: fills in the split, and its json where no other file is named."""

    def __init__(self, findings: Findings, split: str, ann_file: str | Path) -> None:
        self.findings = findings
        self.split = split
        self.ann_file = ann_file

    def add(self, code: str, record: str = '', message: str = '', file: str | Path = '') -> None:
        """Add a ``Finding`` of this split; ``file`` is its json by default."""
        self.findings.add(Finding(code, record, message, self.split), file or self.ann_file)
