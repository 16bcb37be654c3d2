#!/usr/bin/env python
"""Query OSV (api.osv.dev) for known vulnerabilities of everything installed here, through pip-audit.

Exit status: 0: none is known, or, with a printed line, the service could not be reached; 1: some are known, or
pip-audit itself fails. With --require, a service that cannot be reached is a failure too.
"""
import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from typing import Any

COMMAND = (sys.executable, '-m', 'pip_audit', '--local', '--vulnerability-service', 'osv', '--format', 'json',
           '--progress-spinner', 'off', '--timeout', '15')
# What pip-audit's traceback ends with where there is no network, or the service does not reply.
UNREACHABLE = ('ConnectionError', 'ConnectTimeout', 'ReadTimeout', 'ProxyError', 'SSLError', 'ServiceError')


def judge(printed: str, errors: str, require: bool) -> tuple[int, str]:
    """Return the exit status and the message.

    Args:
        printed, errors: pip-audit's stdout and stderr.
        require: a service that cannot be reached is a failure.
    """
    try:
        packages: list[dict[str, Any]] = json.loads(printed)['dependencies']
    except (json.JSONDecodeError, KeyError, TypeError):
        last = (errors.strip().splitlines() or ['pip-audit printed nothing'])[-1]
        if any(name in last for name in UNREACHABLE):
            return int(require), f'NOT AUDITED: the vulnerability service cannot be reached from here ({last[:200]})'
        return 1, f'pip-audit failed: {last}'
    found = [f"  {each['name']} {each['version']}: {fault['id']} "
             f"({'fixed in ' + ', '.join(fault['fix_versions']) if fault.get('fix_versions') else 'no fix yet'})"
             for each in packages for fault in each.get('vulns', [])]
    skipped = [f"{each['name']}: {each['skip_reason']}" for each in packages if 'skip_reason' in each]
    checked = len(packages) - len(skipped)
    lines = [f'{checked} packages checked, {len(found)} known vulnerabilities', *found]
    lines += [f'not checked: {each}' for each in skipped]
    if not checked:
        return 1, '\n'.join(['pip-audit checked no package', *lines[1:]])
    return int(bool(found)), '\n'.join(lines)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--require', action='store_true', help='fail where the service cannot be reached')
    args = parser.parse_args(argv)
    done = subprocess.run(COMMAND, capture_output=True, text=True, check=False)
    status, message = judge(done.stdout, done.stderr, args.require)
    print(message)
    return status


if __name__ == '__main__':
    sys.exit(main())
