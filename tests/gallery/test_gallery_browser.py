"""The gallery in a browser, from disk."""
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from pycocotools import mask as coco_mask

from mmpartref.evaluation.dumps.dump import read_dump
from mmpartref.evaluation.scoring.score_dump import score_dump
from mmpartref.gallery import build_gallery, thumbnails
from mmpartref.gallery.page_data import HEAT_COLOURS

pytestmark = pytest.mark.e2e

# As WebDriver calls ways to find an element, and keys; importing selenium here would pass over the browser fixture's
# rule for where it is missing.
CSS, ID, NAME, XPATH = 'css selector', 'id', 'name', 'xpath'
ENTER, ESCAPE, LEFT, RIGHT = '\ue007', '\ue00c', '\ue012', '\ue014'


def texts(driver: Any, selector: str) -> list[str]:
    return driver.execute_script('return [...document.querySelectorAll(arguments[0])].map(each => each.textContent)',
                                 selector)


def choose(driver: Any, name: str, value: str) -> None:
    """Choose from a list, or type into a field, as somebody would."""
    field = driver.find_element(NAME, name)
    if field.tag_name == 'select':
        field.find_element(CSS, f'option[value="{value}"]').click()
    else:
        field.clear()
        field.send_keys(value)


def picture_of(element: Any) -> np.ndarray:
    """What the screen shows of an element, RGB; all of it has to be on the screen."""
    element.parent.execute_script("arguments[0].scrollIntoView({block: 'end'})", element)
    image = cv2.imdecode(np.frombuffer(element.screenshot_as_png, np.uint8), cv2.IMREAD_COLOR)
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB).astype(int)


def colour_at(element: Any, x: float, y: float) -> np.ndarray:
    """The colour in a canvas at a place of the image of 80 x 60 pixels."""
    picture = picture_of(element)
    return picture[round((y + 0.5) * picture.shape[0] / 60), round((x + 0.5) * picture.shape[1] / 80)]


def mixed(under: int, colour: tuple[int, int, int], alpha: float) -> np.ndarray:
    return under + alpha * (np.array(colour) - under)


def test_it_opens_from_disk_without_errors_and_shows_a_page_of_pictures(show, browser_errors, wait_for):
    driver = show()
    assert len(texts(driver, '.card')) == 60
    assert driver.execute_script("return [...document.images].every(i => i.loading === 'lazy' && i.alt)")
    wait_for("document.images[0].naturalWidth === 80")
    assert texts(driver, '#summary dd') == ['70.00', '70.00', '75', '3']
    assert texts(driver, '#status') == ['75 of 75 expressions: mean IoU 70.00.']
    assert browser_errors() == []


def test_columns_on_a_desktop_and_one_on_a_phone(show, phone):
    columns = "return getComputedStyle(document.querySelector('#cards')).gridTemplateColumns.split(' ').length"
    assert show().execute_script(columns) >= 4
    phone()
    driver = show('compare_1.html#open=0:3')
    assert driver.execute_script(columns) == 1
    assert driver.execute_script('return document.documentElement.scrollWidth <= innerWidth')
    assert driver.execute_script("return document.querySelector('#detail').scrollWidth <= innerWidth")
    assert not driver.execute_script("return document.querySelector('#controls').open")


def test_expressions_are_shown_as_text_in_the_browser(detail, inputs, browser, browser_errors):
    detail('index.html#open=0:1')
    assert texts(browser, '#detail-title') == [inputs.hostile]
    assert browser.execute_script("return [...document.querySelectorAll('script')].every(script => script.src)")
    assert browser.execute_script("return document.querySelector('main img[src=x]') === null")
    assert browser.execute_script('return window.hacked === undefined')
    assert browser_errors() == []


def test_sorting_and_filtering_change_cards_status_and_address(show):
    driver = show()
    ious = [float(text.removeprefix('IoU ')) for text in texts(driver, '.fact:first-child')]
    assert ious == sorted(ious)
    choose(driver, 'sort', '-iou')
    assert texts(driver, '.fact:first-child')[0] == 'IoU 100.00'
    choose(driver, 'super', 'bird')
    choose(driver, 'part', 'head')
    assert texts(driver, '#status') == ['12 of 75 expressions: mean IoU 70.00.']
    assert texts(driver, '#active') == ['(2 filters)']
    choose(driver, 'q', 'THING 11')
    assert texts(driver, '.text') == ['thing 1 11']
    address = driver.execute_script('return location.hash')
    assert address == '#q=THING+11&sort=-iou&super=bird&part=head'
    again = show('index.html' + address)
    assert texts(again, '.text') == ['thing 1 11']
    assert again.find_element(NAME, 'q').get_attribute('value') == 'THING 11'
    again.find_element(CSS, '[type=reset]').click()
    assert len(texts(again, '.card')) == 60


def test_a_filter_lists_its_values_with_counts(show):
    driver = show()
    assert texts(driver, '#field-super option') == ['all (75)', 'bird (25)', 'car (25)', 'fish (25)']
    assert texts(driver, '#field-size option') == ['all (75)', 'medium (75)']
    choose(driver, 'super', 'car')
    assert texts(driver, '#field-part option') == ['all (25)', 'body (13)', 'head (12)']
    choose(driver, 'q', 'thing 0 2')
    assert texts(driver, '#field-part option') == ['all (7)', 'body (5)', 'head (2)']
    choose(driver, 'q', '')
    kinds = [text.rsplit(' (', 1)[0] for text in texts(driver, '#field-kind option')[1:]]
    assert kinds
    choose(driver, 'kind', kinds[0])
    assert set(texts(driver, '.fact:nth-child(2)')) == {kinds[0]}


def test_an_empty_search_shows_a_message(show):
    driver = show('index.html#q=zebra')
    assert texts(driver, '#status') == ['None of 75 expressions matches these filters.']
    assert texts(driver, '.card') == []
    assert 'card 9:9 of the URL' in texts(show('index.html#open=9:9'), '#status')[0]


def test_the_pager_reaches_every_card(show):
    driver = show('index.html#sort=image')
    first = texts(driver, '.text')
    driver.find_element(XPATH, '//nav[@id="pager"]/button[text()="Next"]').click()
    second = texts(driver, '.text')
    assert (len(first), len(second)) == (60, 15)
    assert len({*first, *second}) == 75
    assert driver.execute_script('return location.hash') == '#page=2&sort=image'
    assert not driver.find_element(XPATH, '//nav[@id="pager"]/button[text()="Last"]').is_enabled()
    choose(driver, 'sort', '-area')
    assert driver.execute_script('return location.hash') == '#sort=-area'
    choose(driver, 'super', 'car')
    assert len(texts(driver, '.card')) == 25
    assert not driver.find_element(ID, 'pager').is_displayed()


def test_a_card_enlarges_to_image_truth_prediction_and_heat_map(detail, browser, browser_errors):
    image, truth, prediction, heat = detail('index.html#open=0:20')
    assert texts(browser, '#panels figcaption') == ['Image', 'Truth', 'Prediction', 'Heat map']
    grey = int(colour_at(image, 70, 50)[0])
    assert grey == pytest.approx(90, abs=3)
    assert np.abs(colour_at(truth, 30, 30) - mixed(grey, thumbnails.TRUTH, thumbnails.ALPHA)).max() <= 3
    # The prediction is 20 pixels wide, the truth 40.
    assert np.abs(colour_at(prediction, 20, 30) - mixed(grey, thumbnails.PREDICTION, thumbnails.ALPHA)).max() <= 3
    assert np.abs(colour_at(prediction, 40, 30) - grey).max() <= 3
    row = picture_of(prediction)[picture_of(prediction).shape[0] // 2]
    assert (np.abs(row - thumbnails.TRUTH).max(axis=1) < 30).sum() >= 2
    # Levels of 0.9, 0.5 and 0.1 end 10, 20 and 30 pixels to the right of the left side.
    stops, pale = np.array(HEAT_COLOURS, dtype=float), grey + 0.4 * (255 - grey)
    for x, level in ((15, 0.9), (25, 0.5), (35, 0.1)):
        wanted = [np.interp(8 * level, range(9), stops[:, channel]) for channel in range(3)]
        assert np.abs(colour_at(heat, x, 30) - mixed(pale, wanted, 0.7)).max() <= 4
    assert np.abs(colour_at(heat, 45, 30) - pale).max() <= 3
    assert '10, 50, 90 percent' in texts(browser, '#heat-scale')[0]
    metrics = dict(zip(texts(browser, '#metrics dt'), texts(browser, '#metrics dd'), strict=True))
    assert metrics['IoU'] == '50.00'
    assert metrics['score'] == '75.00'
    assert metrics['ref_id'] == '0:20'
    assert metrics['predicted area'] == '800 px'
    assert metrics['true area'] == '1,600 px (medium)'
    assert metrics['intersection with the truth'] == '800 px'
    assert browser_errors() == []


def test_keys_walk_through_the_cards_and_the_focus_returns(show, wait_for):
    driver = show('index.html#sort=image')
    cards = driver.find_elements(CSS, '.card')
    cards[2].send_keys(ENTER)
    wait_for("document.querySelector('#detail').open")
    body = driver.switch_to.active_element
    body.send_keys(RIGHT)
    body.send_keys(RIGHT)
    body.send_keys(LEFT)
    assert texts(driver, '#detail-title') == ['thing 0 3']
    assert texts(driver, '#detail-place') == ['4 of 75']
    wait_for("document.querySelector('#panels canvas')")
    body.send_keys('z')
    assert driver.find_element(ID, 'zoom').get_attribute('aria-pressed') == 'true'
    driver.switch_to.active_element.send_keys(ESCAPE)
    wait_for("!document.querySelector('#detail').open")
    assert driver.switch_to.active_element.get_attribute('id') == 'card-3'
    assert driver.execute_script('return location.hash') == '#sort=image'


def test_the_last_card_of_a_page_leads_to_the_next_page(detail, browser, wait_for):
    detail('index.html#sort=image&open=2:9')
    browser.find_element(ID, 'next').click()
    browser.find_element(ID, 'close').click()
    wait_for("!document.querySelector('#detail').open")
    assert browser.execute_script('return location.hash') == '#page=2&sort=image'
    assert browser.switch_to.active_element.get_attribute('id') == 'card-60'


def test_the_back_button_closes_an_enlarged_card(show, wait_for):
    driver = show('index.html#super=fish')
    driver.find_element(CSS, '.card').click()
    wait_for("document.querySelector('#detail').open")
    driver.back()
    wait_for("!document.querySelector('#detail').open")
    assert len(texts(driver, '.card')) == 25


@pytest.fixture
def plain(inputs, tmp_path) -> Path:
    """A gallery without heat maps: a small part in a corner, one with no pixel at all, one that is not there."""
    dump = inputs.dump([[inputs.predict('0:1', 'light', [(4, 6, 8, 8)], (0, 0, 0, 0)),
                         inputs.predict('0:2', 'tail', [], (0, 0, 0, 0)),
                         replace(inputs.predict('0:3', 'wing', [], (9, 9, 9, 9)), absent='other')]], 'plain.json')
    build_gallery(dump, tmp_path / 'plain')
    return tmp_path / 'plain'


def test_zoom_shows_a_small_part_larger_and_in_its_place(detail, browser, plain, wait_for):
    def yellow(canvas: Any) -> np.ndarray:
        return np.abs(picture_of(canvas) - mixed(90, thumbnails.TRUTH, thumbnails.ALPHA)).max(axis=2) <= 3

    truth = detail('index.html#open=0:1', plain)[1]
    assert yellow(truth).mean() == pytest.approx(8 * 8 / (60 * 80), abs=0.002)
    browser.find_element(ID, 'zoom').click()
    # A section is at least 64 pixels wide, in the shape of the image; here it starts in the image's corner.
    assert yellow(truth).mean() == pytest.approx(8 * 8 / (48 * 64), abs=0.003)
    rows, columns = np.nonzero(yellow(truth))
    height, width = yellow(truth).shape
    assert (rows.min() / height * 48, columns.min() / width * 64) == pytest.approx((6, 4), abs=0.3)
    for _ in range(2):
        browser.find_element(ID, 'next').click()
    wait_for("document.querySelector('#zoom').disabled")


def test_a_part_that_is_not_there_is_called_so_and_has_no_share_in_the_mean(detail, browser, plain):
    detail('index.html#open=0:3', plain)
    assert texts(browser, '#panels figcaption')[1:3] == ['Truth: not in the image', 'Prediction']
    assert texts(browser, '#status') == ['3 of 3 expressions: mean IoU 50.00.']
    assert texts(browser, '#field-size option')[1:] == ['small (2)', 'absent (1)']
    browser.find_element(ID, 'next').click()
    assert texts(browser, '#detail-title') == ['car tail']
    detail('index.html#open=0:1', plain)
    assert texts(browser, '#panels figcaption')[1:3] == ['Truth', 'Prediction: empty']


def test_without_candidates_the_page_explains_how_to_get_a_heat_map(detail, browser, browser_errors, plain):
    assert len(detail('index.html#open=0:1', plain)) == 3
    for selector in ('#notes p:last-child', 'figure.missing p'):
        assert 'No heat map' in texts(browser, selector)[0]
        assert '--candidates' in texts(browser, selector)[0]
    assert browser_errors() == []


def test_masks_are_decoded_as_pycocotools_does(show):
    driver, rng = show(), np.random.default_rng(3)
    for height, width, share in ((7, 5, 0.5), (60, 41, 0.03), (33, 300, 0.9), (1, 1, 1), (400, 3, 0)):
        mask = (rng.random((height, width)) < share).astype(np.uint8)
        counts = coco_mask.encode(np.asfortranarray(mask))['counts'].decode('ascii')
        decoded = driver.execute_script(
            'return [...Gallery.masks.decode(arguments[0], arguments[1], arguments[2]).data]', counts, height, width)
        assert np.array_equal(np.reshape(decoded, (height, width)), mask)


def test_a_comparison_shows_where_two_models_differ(detail, inputs, browser, browser_errors):
    detail('compare_1.html#open=0:20')
    assert texts(browser, '#panels figcaption') == ['Truth', 'a', 'b', 'Where they differ']
    canvas = browser.find_elements(CSS, '#panels canvas')[3]
    # Truth is 10..50 both ways; a covers its left half, b its upper 14 rows.
    for (x, y), colour in (((20, 15), thumbnails.BOTH_RIGHT), ((20, 40), thumbnails.PREDICTION),
                           ((40, 15), thumbnails.OTHER), ((40, 40), thumbnails.BOTH_WRONG)):
        assert np.abs(colour_at(canvas, x, y) - mixed(90, colour, thumbnails.DIFFERENCE_ALPHA)).max() <= 3
    assert np.abs(colour_at(canvas, 70, 50) - 90).max() <= 3
    assert texts(browser, '#legend li') == ['truth', 'both right', 'only a right', 'only b right', 'both wrong']
    assert browser_errors() == []


def test_a_comparison_is_sorted_and_filtered_by_who_is_better(show, folder):
    driver = show('compare_1.html')

    def shown_mean(place: int) -> float:
        return np.mean([float(text.removeprefix('IoU ').split(' and ')[place])
                        for text in texts(driver, '.fact:first-child')])

    def differences() -> list[float]:
        return [float(text.replace('−', '-').replace('±', '')) for text in texts(driver, '.fact:nth-child(2)')]

    sizes = [abs(value) for value in differences()]
    assert sizes == sorted(sizes, reverse=True)
    choose(driver, 'sort', 'first')
    assert differences() == sorted(differences(), reverse=True)
    # First minus second, as in tools/compare.py.
    ious = [[float(iou) for iou in text.removeprefix('IoU ').split(' and ')]
            for text in texts(driver, '.fact:first-child')]
    assert differences() == pytest.approx([first - second for first, second in ious], abs=0.011)
    choose(driver, 'better', 'second')
    shown = dict(zip(texts(driver, '#summary dt'), texts(driver, '#summary dd'), strict=True))
    assert len(texts(driver, '.card')) == int(shown['b better'])
    assert max(differences()) < 0
    status = texts(driver, '#status')[0]
    assert f'b: mean IoU {shown_mean(1):.2f}, better in {shown["b better"]}' in status
    assert f'a: mean IoU {shown_mean(0):.2f}, better in 0; ' in status
    assert int(shown['a better']) + int(shown['equal']) + int(shown['b better']) == 75
    driver.find_element(CSS, '#pages a[href="index.html"]').click()
    assert driver.current_url == f'{folder.as_uri()}/index.html'


def test_a_gallery_copied_in_part_names_what_is_missing(folder, show, tmp_path, wait_for):
    shutil.copytree(folder, tmp_path / 'copy')
    (tmp_path / 'copy/data/images/0.js').unlink()
    (tmp_path / 'copy/images/1.jpg').unlink()
    for card, file in (('0:1', 'data/images/0.js'), ('1:1', 'images/1.jpg')):
        driver = show(f'index.html#open={card}', tmp_path / 'copy')
        wait_for("document.querySelector('#detail-problem').textContent")
        assert texts(driver, '#detail-problem') == [f'{file} is missing; copy the whole gallery folder.']
    (tmp_path / 'copy/data/index.js').unlink()
    assert texts(show('index.html', tmp_path / 'copy'), '#status')[0].startswith('data/index.js is missing')


def test_everything_has_a_name_for_those_who_do_not_see_it(detail, browser):
    detail('index.html#open=0:3')
    assert browser.execute_script("""return [...document.querySelectorAll('input, select')].every(
        field => field.labels.length || field.getAttribute('aria-label'))""")
    assert browser.execute_script("""return [...document.querySelectorAll('#panels canvas')].every(
        canvas => canvas.getAttribute('aria-label').includes('thing 0 3'))""")
    assert browser.execute_script("return [...document.images].every(image => image.alt.includes('IoU'))")
    assert all(texts(browser, 'button'))
    assert browser.execute_script("return document.documentElement.lang && document.querySelector('main')") is not None


@pytest.mark.parametrize('scheme', ['light', 'dark'])
def test_text_can_be_read_in_light_and_dark(browser, show, scheme):
    try:
        browser.execute_cdp_cmd('Emulation.setEmulatedMedia',
                                {'features': [{'name': 'prefers-color-scheme', 'value': scheme}]})
        show()

        def luminance(selector: str, what: str) -> float:
            text = browser.execute_script('return getComputedStyle(document.querySelector(arguments[0]))[arguments[1]]',
                                          selector, what)
            channels = np.array([int(number) for number in text[4:-1].split(',')]) / 255
            linear = np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055)**2.4)
            return float(linear @ (0.2126, 0.7152, 0.0722))

        page = luminance('body', 'backgroundColor')
        assert (page < 0.1) == (scheme == 'dark')
        for selector, behind in (('h1', 'body'), ('.text', '#cards li'), ('.facts', '#cards li'),
                                 ('#summary dt', 'body')):
            pair = sorted((luminance(selector, 'color'), luminance(behind, 'backgroundColor')))
            assert (pair[1] + 0.05) / (pair[0] + 0.05) >= 4.5
    finally:
        browser.execute_cdp_cmd('Emulation.setEmulatedMedia', {'features': []})


def test_the_scores_on_the_cards_are_the_metrics(show, inputs):
    rows = score_dump(read_dump(inputs.root / 'a.json'))
    driver = show('index.html#sort=image')
    shown = [float(text.removeprefix('IoU ')) for text in texts(driver, '.fact:first-child')]
    assert shown == pytest.approx([100 * row.score.overlap.iou for row in rows[:60]], abs=0.0051)


def test_a_missing_browser_is_a_skip_here_and_a_failure_in_continuous_integration(monkeypatch):
    start_browser = sys.modules['browser_fixture'].start_browser
    monkeypatch.setattr(shutil, 'which', lambda name: None)
    monkeypatch.setenv('CI', 'true')
    with pytest.raises(pytest.fail.Exception, match='is missing; install chromium'):
        start_browser()
    monkeypatch.delenv('CI')
    with pytest.raises(pytest.skip.Exception, match='is missing; install chromium'):
        start_browser()
