"""Outlines, keys, charts, the view of an image, copying, printing and accessibility of the gallery, in a browser."""
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from mmpartref.evaluation.diagnosis.failure_kinds import FAILURE_KINDS
from mmpartref.gallery import build_gallery, thumbnails
from mmpartref.gallery.page_data import KIND_MEANINGS

browser_test = pytest.mark.e2e
CSS, ID, NAME = 'css selector', 'id', 'name'
ENTER, ESCAPE, SPACE = '\ue007', '\ue00c', ' '


def texts(driver: Any, selector: str) -> list[str]:
    return driver.execute_script('return [...document.querySelectorAll(arguments[0])].map(each => each.textContent)',
                                 selector)


def picture_of(element: Any) -> np.ndarray:
    """What the screen shows of an element, RGB; all of it has to be on the screen."""
    element.parent.execute_script("arguments[0].scrollIntoView({block: 'end'})", element)
    image = cv2.imdecode(np.frombuffer(element.screenshot_as_png, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(int)


def has_line(element: Any, colour: tuple[int, int, int]) -> bool:
    """Whether a row or a column has a line of the colour with a dark rim on both sides, each of a few pixels."""
    picture = picture_of(element)
    bright = np.abs(picture - colour).max(axis=2) <= 6
    dark = picture.max(axis=2) <= 80
    for axis in (0, 1):
        before, after = (np.max([np.roll(dark, sign * step, axis) for step in range(2, 6)], axis=0) for sign in (1, -1))
        if (bright & before & after).sum() >= 20:
            return True
    return False


def press(driver: Any, key: str) -> None:
    driver.switch_to.active_element.send_keys(key)


def address(driver: Any) -> str:
    return driver.execute_script('return location.hash')


@pytest.fixture
def image_view(show, folder, wait_for) -> Callable[..., Any]:
    """Open a page with all expressions of an image, and return the canvas."""
    def open_image(fragment: str, root: Path = folder) -> Any:
        driver = show(fragment, root)
        wait_for("document.querySelector('#image-canvas').height > 200")
        return driver.find_element(ID, 'image-canvas')

    return open_image


@pytest.fixture
def two_parts(world, tmp_path) -> Path:
    """A gallery of an image in the colour of predictions: two parts that are apart, and an absent one."""
    path = world.images / 'val/0.jpg'
    path.parent.mkdir(parents=True)
    cv2.imwrite(str(path), np.full((60, 80, 3), thumbnails.PREDICTION[::-1], dtype=np.uint8))
    dump = world.dump([[world.predict('0:1', 'head', [(6, 6, 20, 20)], (10, 10, 20, 20)),
                        world.predict('0:2', 'tail', [(46, 30, 20, 20)], (44, 26, 20, 20)),
                        replace(world.predict('0:3', 'wing', [], (0, 0, 0, 0)), absent='other')]])
    build_gallery(dump, tmp_path / 'two')
    return tmp_path / 'two'


@browser_test
def test_lines_have_dark_rims_and_are_visible_on_an_image_in_their_colour(detail, two_parts):
    _, truth, prediction = detail('index.html#open=0:1', two_parts)
    assert has_line(truth, thumbnails.TRUTH)
    assert has_line(prediction, thumbnails.TRUTH)
    assert has_line(prediction, thumbnails.PREDICTION)


@browser_test
def test_equal_masks_have_two_lines(detail):
    prediction = detail('index.html#open=0:0')[2]
    assert has_line(prediction, thumbnails.TRUTH)
    assert has_line(prediction, thumbnails.PREDICTION)


@browser_test
def test_a_prediction_of_a_pixel_is_bright(detail, world, tmp_path):
    dump = world.dump([[world.predict('0:1', 'eye', [(40, 40, 4, 4)], (20, 20, 1, 1))]])
    build_gallery(dump, tmp_path / 'small')
    prediction = picture_of(detail('index.html#open=0:1', tmp_path / 'small')[2])
    bright = np.abs(prediction - thumbnails.PREDICTION).max(axis=2) <= 6
    # The large picture has about 10 pixels per pixel of the image.
    assert bright.sum() >= 40


@browser_test
def test_keys_hide_truth_and_predictions_and_show_them_again(detail, browser):
    canvases = detail('compare_1.html#open=0:20')
    places = {'t': (0, thumbnails.TRUTH), 'p': (1, thumbnails.PREDICTION), 's': (2, thumbnails.OTHER)}
    assert texts(browser, '#detail [data-switch]') == ['Truth', 'a', 'b']
    for key, (place, colour) in places.items():
        button = browser.find_element(CSS, f'#detail [aria-keyshortcuts="{key}"]')
        for pressed in ('false', 'true'):
            press(browser, key)
            assert button.get_attribute('aria-pressed') == pressed
            assert has_line(canvases[place], colour) == (pressed == 'true')
    # What is hidden stays hidden on the next card, and the button of the other dialog agrees.
    press(browser, 't')
    browser.find_element(ID, 'next').click()
    both = browser.find_elements(CSS, '[data-switch=truth]')
    assert [each.get_attribute('aria-pressed') for each in both] == ['false', 'false']


@browser_test
def test_keys_do_nothing_while_a_field_has_the_focus(show):
    driver = show('index.html')
    field = driver.find_element(NAME, 'q')
    field.send_keys('t?')
    assert field.get_attribute('value') == 't?'
    assert not driver.find_element(ID, 'help').is_displayed()
    field.clear()
    driver.find_element(ID, 'more').send_keys('?')
    assert driver.find_element(ID, 'help').is_displayed()


@browser_test
def test_help_explains_the_keys_and_the_failure_kinds_over_an_open_card(detail, browser):
    detail('index.html#open=0:20')
    press(browser, '?')
    assert dict(zip(texts(browser, '#kinds dt'), texts(browser, '#kinds dd'), strict=True)) == KIND_MEANINGS
    shortcuts = browser.execute_script("return [...document.querySelectorAll('[aria-keyshortcuts]')].map("
                                       "each => each.getAttribute('aria-keyshortcuts'))")
    keys = ' '.join(texts(browser, '#help dt')).replace('←', 'ArrowLeft').replace('→', 'ArrowRight').split()
    assert {*shortcuts, 's'} <= set(keys)
    press(browser, ESCAPE)
    assert not browser.find_element(ID, 'help').is_displayed()
    assert browser.find_element(ID, 'detail').is_displayed()


def test_every_failure_kind_has_a_sentence():
    assert tuple(KIND_MEANINGS) == FAILURE_KINDS
    assert all(text.endswith('.') for text in KIND_MEANINGS.values())


@browser_test
def test_the_failure_kind_of_a_card_is_explained(detail, browser):
    detail('index.html#open=0:24')
    assert f'under-segmented: {KIND_MEANINGS["under-segmented"]}' in texts(browser, '#metrics p')


@browser_test
def test_the_header_is_one_line_until_it_is_opened(show):
    driver = show('compare_1.html')
    header = driver.find_element(CSS, 'header')
    assert header.size['height'] < 60
    assert not driver.find_element(ID, 'summary').is_displayed()
    button = driver.find_element(ID, 'more')
    assert button.text == f'Details, {len(texts(driver, "#notes p"))} notes'
    for expanded in (True, False):
        button.click()
        assert button.get_attribute('aria-expanded') == str(expanded).lower()
        assert driver.find_element(ID, 'summary').is_displayed() == expanded


@browser_test
def test_filters_stay_at_the_top_and_leave_half_of_a_phone_to_the_cards(show, phone):
    top = ("window.scrollTo(0, 2000); const box = document.querySelector('#controls').getBoundingClientRect();"
           'return [scrollY, box.top, box.height / innerHeight]')
    scrolled, place, _ = show().execute_script(top)
    assert scrolled > 500
    assert place == 0
    phone()
    driver = show('compare_1.html')
    driver.find_element(CSS, '#controls summary').click()
    _, place, share = driver.execute_script(top)
    assert place == 0
    assert 0.2 < share < 0.5


@browser_test
def test_the_histogram_filters_and_clears_by_mouse_and_keyboard(show):
    driver = show()
    bars = texts(driver, '.histogram button > span:first-child')
    # IoUs of 40, 42.5, ... 100 percent, each three times.
    assert bars == ['0', '0', '0', '0', '12', '12', '12', '12', '12', '15']
    names = [bar.get_attribute('aria-label') for bar in driver.find_elements(CSS, '.histogram button')]
    assert names[5] == 'IoU 50 to 60: 12 expressions'
    driver.find_elements(CSS, '.histogram button')[5].click()
    assert address(driver) == '#iou=50-60'
    assert {float(text.removeprefix('IoU ')) for text in texts(driver, '.fact:first-child')} == {50, 52.5, 55, 57.5}
    assert driver.find_elements(CSS, '.histogram button')[5].get_attribute('aria-pressed') == 'true'
    # The others stay, so that one can be chosen next, and the same bar has the focus.
    assert texts(driver, '.histogram button > span:first-child') == bars
    press(driver, SPACE)
    assert address(driver) == ''
    assert len(texts(driver, '.card')) == 60
    assert driver.switch_to.active_element.get_attribute('aria-label') == names[5]
    assert texts(show('index.html#iou=90-100'), '#status')[0].startswith('15 of 75 expressions')


@browser_test
def test_bars_of_parts_filter_and_follow_the_other_filters(show):
    driver = show('index.html#super=car')
    names = [bar.get_attribute('aria-label') for bar in driver.find_elements(CSS, '.part-bars button')]
    assert names == ['body: mean IoU 70.00, 13 expressions', 'head: mean IoU 70.00, 12 expressions']
    driver.find_elements(CSS, '.part-bars button')[1].click()
    assert address(driver) == '#super=car&part=head'
    assert texts(driver, '#status') == ['12 of 75 expressions: mean IoU 70.00.']
    press(driver, ENTER)
    assert address(driver) == '#super=car'


@browser_test
def test_a_comparison_has_a_histogram_per_model(show):
    driver = show('compare_1.html')
    second = driver.find_elements(CSS, '.histogram')[1]
    second.find_elements(CSS, 'button')[3].click()
    assert address(driver) == '#iou2=30-40'
    shown = [float(text.split(' and ')[1]) for text in texts(driver, '.fact:first-child')]
    assert shown
    assert all(30 <= iou < 40 for iou in shown)
    assert ' and ' in driver.find_element(CSS, '.part-bars button').get_attribute('aria-label')


@browser_test
def test_absent_parts_are_in_no_chart(show, two_parts):
    driver = show('index.html', two_parts)
    assert sum(map(int, texts(driver, '.histogram button > span:first-child'))) == 2
    assert texts(driver, '.part-bars button > span:first-child') == ['head', 'tail']


def shares_of(canvas: Any, colour: tuple[int, int, int]) -> list[bool]:
    """Whether the left and the right half of a picture have pixels of the colour."""
    found = np.abs(picture_of(canvas) - colour).max(axis=2) <= 6
    middle = found.shape[1] // 2
    return [bool(half.sum() > 20) for half in (found[:, :middle], found[:, middle:])]


@browser_test
def test_all_expressions_of_an_image_are_on_one_picture_and_each_mask_can_be_hidden(
        image_view, two_parts, browser, browser_errors):
    canvas = image_view('index.html#image=0', two_parts)
    assert texts(browser, '#image-parts a') == ['car head', 'car tail', 'car wing']
    assert has_line(canvas, thumbnails.TRUTH)
    assert has_line(canvas, thumbnails.PREDICTION)
    assert shares_of(canvas, thumbnails.TRUTH) == [True, True]
    browser.find_element(CSS, '#image-parts li:first-child input').click()
    # The number of the expression moves to its prediction.
    assert shares_of(canvas, thumbnails.TRUTH) == [False, True]
    browser.find_element(ID, 'image-all').click()
    assert shares_of(canvas, thumbnails.TRUTH) == [True, True]
    browser.find_element(ID, 'image-all').click()
    assert shares_of(canvas, thumbnails.TRUTH) == [False, False]
    assert np.ptp(picture_of(canvas).reshape(-1, 3), axis=0).max() <= 6
    browser.find_element(ID, 'image-all').click()
    press(browser, 't')
    assert shares_of(canvas, thumbnails.TRUTH) == [False, False]
    assert has_line(canvas, thumbnails.PREDICTION)
    assert browser_errors() == []


@browser_test
def test_a_card_leads_to_its_image_and_back(show, image_view, wait_for):
    driver = show('index.html#super=bird')
    assert texts(driver, '.to-image')[0] == 'All 25 expressions of the image'
    driver.find_element(CSS, '.to-image').click()
    wait_for("document.querySelector('#image').open")
    assert address(driver) == '#image=1&super=bird'
    assert texts(driver, '#image-place') == ['image 1, 25 expressions']
    press(driver, ESCAPE)
    wait_for("!document.querySelector('#image').open")
    assert address(driver) == '#super=bird'
    assert driver.switch_to.active_element.get_attribute('class') == 'card'
    # From an enlarged card by key; a card that the filters exclude opens without them.
    driver.find_element(CSS, '.card').click()
    wait_for("document.querySelector('#detail').open")
    press(driver, 'i')
    wait_for("document.querySelector('#image').open")
    assert not driver.find_element(ID, 'detail').is_displayed()
    image_view('index.html#image=0&super=bird')
    driver.find_element(CSS, '#image-parts li:nth-child(3) a').click()
    wait_for("document.querySelector('#detail').open")
    assert address(driver) == '#open=0%3A2'
    driver.back()
    wait_for("document.querySelector('#image').open")


@browser_test
def test_an_image_is_followed_by_the_next_one_among_the_cards(image_view, browser, wait_for):
    image_view('compare_1.html#image=0&sort=image')
    assert len(texts(browser, '#image-parts li:first-child label')) == 3
    press(browser, '\ue014')
    assert address(browser) == '#image=1&sort=image'
    press(browser, '\ue012')
    press(browser, '\ue012')
    assert texts(browser, '#image-title') == ['0.jpg']


@browser_test
def test_expressions_are_shown_as_text_in_the_view_of_an_image(image_view, inputs, browser):
    image_view('index.html#image=0')
    assert texts(browser, '#image-parts a')[1] == inputs.hostile
    assert browser.execute_script('return window.hacked === undefined')
    assert browser.execute_script("return document.querySelector('img[src=x]') === null")


@browser_test
def test_an_unknown_image_in_the_address_is_reported(show):
    driver = show('index.html#image=99')
    assert 'image 99 of the URL' in texts(driver, '#status')[0]
    assert not driver.find_element(ID, 'image').is_displayed()


CLIPBOARD = "Object.defineProperty(navigator, 'clipboard', {value: arguments[0] ? {writeText: async (text) => "\
            '{ window.written = text; }} : undefined, configurable: true})'


@browser_test
def test_the_ids_of_all_cards_of_the_view_are_copied(show, image_view, wait_for):
    driver = show('index.html#super=fish&sort=image')
    driver.execute_script(CLIPBOARD, True)
    driver.find_element(ID, 'copy').click()
    wait_for("document.querySelector('#copied').textContent === '25 copied'")
    assert driver.execute_script('return window.written').split('\n') == [f'2\t2:{number}' for number in range(25)]
    image_view('index.html#image=1&super=fish')
    driver.execute_script(CLIPBOARD, True)
    driver.find_element(ID, 'image-copy').click()
    wait_for('window.written')
    assert driver.execute_script('return window.written').startswith('1\t1:0\n1\t1:1\n')
    assert not show('index.html#q=zebra').find_element(ID, 'copy').is_enabled()


@browser_test
def test_without_a_clipboard_the_ids_are_shown_selected(show, wait_for):
    driver = show('index.html#iou=90-100&sort=image')
    driver.execute_script(CLIPBOARD, False)
    driver.find_element(ID, 'copy').click()
    wait_for("document.querySelector('#ids').open")
    chosen = driver.execute_script("""const area = document.activeElement;
        return area.value.slice(area.selectionStart, area.selectionEnd)""")
    assert chosen.split('\n')[:2] == ['0\t0:0', '0\t0:1']
    assert len(chosen.split('\n')) == 15
    press(driver, ESCAPE)
    assert not driver.find_element(ID, 'ids').is_displayed()


@browser_test
def test_one_picture_of_a_card_is_as_large_as_the_window(detail, browser, phone):
    canvases = detail('index.html#open=0:20')
    widths = [canvas.size['width'] for canvas in canvases]
    # 1280 x 900: the image of 80 x 60 is as high as the window allows.
    assert widths[2] >= 0.65 * 1280
    assert 0.7 * 900 < canvases[2].size['height'] < 900
    # Drawn at the resolution of the screen.
    assert browser.execute_script('return arguments[0].width === arguments[0].clientWidth', canvases[2])
    browser.find_elements(CSS, '#panels figcaption button')[3].click()
    assert canvases[3].size['width'] == widths[2]
    assert canvases[2].size['width'] < widths[2] / 2
    browser.find_element(ID, 'next').click()
    phone()
    canvases = detail('index.html#open=0:20')
    assert min(canvas.size['width'] for canvas in canvases) >= 0.9 * 390
    assert canvases[2].location['y'] < canvases[0].location['y']


@pytest.fixture
def media(browser) -> Iterator[Callable[..., None]]:
    """Emulate a medium or features of it."""
    def emulate(medium: str = '', **features: str) -> None:
        browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {'media': medium, 'features': [
            {'name': name.replace('_', '-'), 'value': value} for name, value in features.items()]})

    yield emulate
    emulate()


@browser_test
def test_print_has_cards_in_columns_without_controls(show, media, detail, browser):
    driver = show()
    media('print', prefers_color_scheme='dark')
    hidden = ('#controls', '#charts', '#pager', '#copy', '#top .buttons', '.to-image')
    assert not any(driver.find_element(CSS, selector).is_displayed() for selector in hidden)
    for selector in ('h1', '#summary', '#status', '#legend', '.card img'):
        assert driver.find_element(CSS, selector).is_displayed()
    assert driver.execute_script("""const columns = getComputedStyle(document.querySelector('#cards'));
        return columns.gridTemplateColumns.split(' ').length""") == 3
    assert driver.execute_script("return getComputedStyle(document.querySelector('#cards li')).breakInside") == 'avoid'
    assert driver.execute_script('return getComputedStyle(document.body).backgroundColor') == 'rgb(255, 255, 255)'
    media()
    detail('index.html#open=0:20')
    media('print')
    assert not browser.find_element(CSS, 'main').is_displayed()
    assert not browser.find_element(ID, 'next').is_displayed()
    assert browser.execute_script("""const view = document.querySelector('#detail');
        return view.scrollHeight <= view.offsetHeight && getComputedStyle(view).position !== 'fixed'""")


VIEWS = ('index.html', 'compare_1.html', 'index.html#open=0:20', 'compare_1.html#open=0:20', 'index.html#image=0',
         'compare_1.html#image=0')


@browser_test
@pytest.mark.parametrize('scheme', ['light', 'dark'])
@pytest.mark.parametrize('view', [*VIEWS, 'help', 'ids', 'details'])
def test_no_view_violates_wcag_aa(show, media, wait_for, accessibility_faults, view, scheme):
    media(prefers_color_scheme=scheme)
    driver = show(view if view in VIEWS else 'index.html#iou=50-60')
    if view == 'details':
        driver.find_element(ID, 'more').click()
    elif view not in VIEWS:
        driver.execute_script("document.querySelector('#' + arguments[0]).showModal()", view)
    if 'open=' in view:
        wait_for("document.querySelectorAll('#panels:not(.loading) figure').length === 4")
    assert accessibility_faults() == []


@browser_test
def test_a_picture_without_a_text_violates_it(show, accessibility_faults):
    show().execute_script("document.querySelector('#cards img').removeAttribute('alt')")
    fault, = accessibility_faults()
    assert fault.startswith('image-alt')


@browser_test
def test_the_focus_is_visible(show):
    driver = show()
    for selector in ('#more', '#controls summary', '[name=sort]', '.histogram button', '.card', '#copy'):
        driver.execute_script('arguments[0].focus({focusVisible: true})', driver.find_element(CSS, selector))
        style = driver.execute_script(
            'const style = getComputedStyle(document.activeElement); return [style.outlineStyle, style.outlineWidth]')
        assert style == ['solid', '3px'], selector
