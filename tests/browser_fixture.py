"""A real browser for tests: headless Chromium, one per session, driven by selenium.

``tests/conftest.py`` loads this file and takes over the names in ``FIXTURES``.
Where Chromium, its driver or selenium is missing such tests are skipped, and fail where the environment has
``CI=true``: there, a skip would hide that nothing was tested.
"""
import importlib.util
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NoReturn

import pytest

FIXTURES = ('browser_session', 'browser', 'phone', 'desktop', 'browser_errors', 'wait_for', 'accessibility_faults')
# Wide enough for several columns; as wide as most phones are.
DESKTOP, PHONE = (1280, 900), (390, 844)
BROWSERS, DRIVER = ('chromium', 'chromium-browser', 'google-chrome'), 'chromedriver'
# A name that needs looking up is an error at once, never a connection; tests talk to files and to this machine.
ARGUMENTS = ('--headless=new', '--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--no-first-run',
             '--disable-background-networking', '--disable-component-update', '--disable-sync',
             '--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1')
# Seconds; a slow machine may need many.
PATIENCE = 60


def missing(what: str) -> NoReturn:
    """Skip, or fail in continuous integration."""
    reason = f'{what} is missing; install chromium and chromium-driver (Debian) and the Python package selenium'
    if os.environ.get('CI', '').lower() == 'true':
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def start_browser() -> Any:
    """Return a new selenium driver."""
    try:
        from selenium import webdriver
    except ImportError:
        missing('the Python package selenium')
    browser = next(filter(None, map(shutil.which, BROWSERS)), None) or missing('Chromium')
    driver = shutil.which(DRIVER) or missing(DRIVER)
    options = webdriver.ChromeOptions()
    options.binary_location = browser
    for argument in ARGUMENTS:
        options.add_argument(argument)
    options.set_capability('goog:loggingPrefs', {'browser': 'ALL'})
    return webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))


def set_size(driver: Any, width: int, height: int, mobile: bool) -> None:
    """Emulate a screen; a real window cannot be as narrow as a phone."""
    driver.execute_cdp_cmd('Emulation.setDeviceMetricsOverride',
                           {'width': width, 'height': height, 'deviceScaleFactor': 1, 'mobile': mobile})


@pytest.fixture(scope='session')
def browser_session() -> Iterator[Any]:
    """Start the browser once."""
    driver = start_browser()
    yield driver
    driver.quit()


@pytest.fixture
def browser(browser_session: Any) -> Any:
    """A selenium Chrome driver on an empty page, as wide as a desktop, without earlier messages."""
    browser_session.get('about:blank')
    set_size(browser_session, *DESKTOP, mobile=False)
    browser_session.get_log('browser')
    return browser_session


@pytest.fixture
def desktop(browser: Any) -> Callable[[], None]:
    """Make the page as wide as a desktop."""
    return lambda: set_size(browser, *DESKTOP, mobile=False)


@pytest.fixture
def phone(browser: Any) -> Callable[[], None]:
    """Make the page as narrow as a phone."""
    return lambda: set_size(browser, *PHONE, mobile=True)


@pytest.fixture
def browser_errors(browser: Any) -> Callable[[], list[str]]:
    """Return what the console has shown as an error since the last call: exceptions, files that did not load."""
    return lambda: [entry['message'] for entry in browser.get_log('browser') if entry['level'] == 'SEVERE']


@pytest.fixture
def wait_for(browser: Any) -> Callable[[str], Any]:
    """Wait until a JavaScript expression is true, and return its value."""
    from selenium.webdriver.support.ui import WebDriverWait

    def wait(expression: str) -> Any:
        return WebDriverWait(browser, PATIENCE, poll_frequency=0.02).until(
            lambda driver: driver.execute_script(f'return {expression}'), f'never true: {expression}')

    return wait


@pytest.fixture
def accessibility_faults(browser: Any) -> Callable[[], list[str]]:
    """Return the faults that axe-core finds on the page by the rules of WCAG 2 A and AA: rule, selector, and text.

    Its JavaScript comes with the package axe-playwright-python; nothing else of that is used.
    """
    def find() -> list[str]:
        folder = importlib.util.find_spec('axe_playwright_python')
        if folder is None or folder.origin is None:
            missing('the Python package axe-playwright-python')
        browser.execute_script(Path(folder.origin).with_name('axe.min.js').read_text(encoding='utf-8'))
        found = browser.execute_async_script(
            "const done = arguments[0];"
            "axe.run({runOnly: ['wcag2a', 'wcag2aa']}).then(done, error => done({error: String(error)}))")
        assert 'error' not in found, found
        assert len(found['passes']) >= 10
        return [f'{each["id"]}: {node["target"]} {node["failureSummary"]}'
                for each in found['violations'] for node in each['nodes']]
    return find
