import argparse

import pytest

from mmpartref.engine.config.options_action import OptionsAction


def parse(*options: str) -> dict:
    parser = argparse.ArgumentParser()
    parser.add_argument('--cfg-options', nargs='+', action=OptionsAction)
    return parser.parse_args(['--cfg-options', *options]).cfg_options


@pytest.mark.parametrize(('value', 'expected'), [
    ("['{part} of {super_category}', 'the {part}']", ['{part} of {super_category}', 'the {part}']),
    ('[1, 2]', [1, 2]), ('(192,192)', (192, 192)), ("{'number': 1}", {'number': 1}),
    ('[a,b]', ['a', 'b']), ('1,2', [1, 2]), ('3', 3), ('0.5', 0.5), ('true', True), ('None', None), ('a=b', 'a=b'),
    ('[(1,2),c]', [(1, 2), 'c']), ('[]', []),
])
def test_values_are_parsed_as_python_literals(value, expected):
    found = parse(f'key={value}')['key']
    assert found == expected
    assert type(found) is type(expected)


def test_several_options_are_collected_and_the_last_of_a_key_counts():
    assert parse('a=1', "b=['x y']", 'a=2') == {'a': 2, 'b': ['x y']}
    assert parse('a=[1]', 'a=[2]') == {'a': [2]}
    assert parse('a=[1]', 'a=2') == {'a': 2}


def test_an_option_without_value_is_an_error(capsys):
    with pytest.raises(SystemExit):
        parse('a')
    assert "--cfg-options takes KEY=VALUE, got 'a'" in capsys.readouterr().err
