"""Search for the classes that a config names."""
from mmengine.logging import MMLogger

from mmpartref.datasets.referring.steps.expressions import Expressions
from mmpartref.engine.config.signatures import find_class
from mmpartref.registry import ENTRY_STEPS


def test_a_scope_without_entry_steps_gives_no_warning(capsys):
    MMLogger.get_instance('scope_without_entry_steps')
    assert find_class('Nowhere', (ENTRY_STEPS, ), 'mmengine') is None
    assert find_class('Expressions', (ENTRY_STEPS, ), 'mmengine') is Expressions
    assert 'Failed to search registry' not in capsys.readouterr().out
