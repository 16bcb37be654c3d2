"""Check the extras and versions of pip commands against setup.cfg."""
import configparser
import re

from doc_rules import OTHER_PACKAGES
from doc_tools import ROOT, CheckError
from packaging.requirements import InvalidRequirement, Requirement


def read_setup() -> tuple[set[str], list[Requirement]]:
    """Return the extras and everything that setup.cfg requires."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / 'setup.cfg')
    extras = setup['options.extras_require']
    lines = setup['options']['install_requires'].splitlines()
    for extra in extras:
        lines += extras[extra].splitlines()
    return set(extras), [Requirement(line) for line in lines if line and not line.startswith('#')]


def check_requirement(text: str) -> None:
    """Check the extras, the package name and the version of a requirement.

    Raises:
        CheckError: setup.cfg has no such extra, package or version.
    """
    extras, required = read_setup()
    try:
        wanted = Requirement(re.sub(r'^\.', 'mmpartref', text))
    except InvalidRequirement as error:
        raise CheckError(f'pip install {text}: {error}') from error
    if wanted.name == 'mmpartref' and wanted.extras - extras:
        raise CheckError(f'{text}: setup.cfg has no extra {", ".join(sorted(wanted.extras - extras))}')
    known = [each for each in required if each.name == wanted.name]
    if not known and wanted.name not in OTHER_PACKAGES:
        raise CheckError(f'{text}: neither setup.cfg nor doc_rules.py names {wanted.name}')
    for each in wanted.specifier:
        fits = [one for one in known if one.specifier.contains(each.version, prereleases=True)
                or each in set(one.specifier)]
        if known and not fits:
            raise CheckError(f'{text}: setup.cfg requires {", ".join(str(one) for one in known)}')
