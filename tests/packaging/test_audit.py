"""The audit of the dependencies on outputs of pip-audit."""
import json
import re
import runpy
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
judge = runpy.run_path(str(CHECKOUT / '.ci/audit.py'))['judge']
FINE = {'name': 'numpy', 'version': '2.1', 'vulns': []}
FAULTY = {'name': 'pillow', 'version': '9.0', 'vulns': [{'id': 'PYSEC-1', 'fix_versions': ['9.1']},
                                                       {'id': 'GHSA-2', 'fix_versions': []}]}
SKIPPED = {'name': 'mmpartref', 'skip_reason': 'distribution marked as editable'}
NO_NETWORK = 'Traceback (most recent call last):\n ...\nrequests.exceptions.ConnectionError: HTTPSConnectionPool(...)\n'


def output(*packages: dict) -> str:
    return json.dumps({'dependencies': packages, 'fixes': []})


def test_no_vulnerability_passes_and_skipped_packages_are_named():
    assert judge(output(FINE, SKIPPED), '', False) == (
        0, '1 packages checked, 0 known vulnerabilities\n'
        'not checked: mmpartref: distribution marked as editable')


def test_findings_fail_and_are_named():
    status, message = judge(output(FINE, FAULTY), 'Found 2 known vulnerabilities in 1 package', False)
    assert status == 1
    assert message.splitlines() == ['2 packages checked, 2 known vulnerabilities',
                                    '  pillow 9.0: PYSEC-1 (fixed in 9.1)', '  pillow 9.0: GHSA-2 (no fix yet)']


@pytest.mark.parametrize('require', [False, True])
def test_a_missing_service_is_reported_and_fails_only_where_it_is_required(require):
    status, message = judge('', NO_NETWORK, require)
    assert status == int(require)
    assert message.startswith('NOT AUDITED: the vulnerability service cannot be reached')


@pytest.mark.parametrize(('printed', 'errors', 'message'), [
    ('', "/usr/bin/python: No module named pip_audit", 'pip-audit failed: .*No module named pip_audit'),
    ('', '', 'pip-audit failed: pip-audit printed nothing'),
    (output(SKIPPED), '', 'checked no package'), ('[]', '', 'pip-audit failed')])
def test_an_audit_that_did_not_take_place_is_no_success(printed, errors, message):
    status, text = judge(printed, errors, False)
    assert status == 1
    assert re.search(message, text)
