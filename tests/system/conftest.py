"""A browser for the modules here that define ``page``, a page on disk."""

import pytest
from browsing import complaints, drawn, look, opened


@pytest.fixture(scope="module")
def browser(page):
    with opened(page) as driver:
        yield driver


@pytest.fixture
def fresh(browser, page):
    """The page, just opened; whatever a test does with it, the console must stay silent."""
    look(browser)
    browser.get(page.as_uri())
    drawn(browser)
    yield browser
    assert complaints(browser) == []
