from mmpartref.progress import track


def test_items_are_yielded_and_a_log_file_gets_one_line(capsys):
    assert list(track([3, 4, 5], 'images')) == [3, 4, 5]
    shown = capsys.readouterr()
    assert shown.out == ''
    assert shown.err.count('\n') == 1
    assert 'images' in shown.err
    assert '3/3' in shown.err


def test_an_iterator_gets_its_total(capsys):
    assert list(track((each for each in 'abc'), 'scenes', total=3)) == ['a', 'b', 'c']
    assert '3/3' in capsys.readouterr().err


def test_few_items_have_no_bar(capsys):
    assert list(track(['a'], 'images')) == ['a']
    assert list(track([1, 2], 'images', min_items=3)) == [1, 2]
    assert capsys.readouterr().err == ''
