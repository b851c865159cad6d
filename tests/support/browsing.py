"""A real browser: Debian's Chromium, headless, which reads pages from disk."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

needs_browser = pytest.mark.skipif(
    not (find_spec("selenium") and shutil.which("chromium") and shutil.which("chromedriver")),
    reason="no Selenium or Chromium here; Debian: apt-get install chromium chromium-driver",
)
HOSTILE = ["<script>document.title='broken'</script>", "\"'><img src=x onerror=alert(1)>", "x" * 200, "Песня 歌 أغنية"]


@contextmanager
def opened(page: Path) -> Iterator:
    """A browser that has opened a file."""
    with open_browser() as driver:
        driver.get(page.as_uri())
        yield driver


@contextmanager
def open_browser() -> Iterator:
    """A browser that may play sounds and remembers what its console said."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--mute-audio"):
        options.add_argument(argument)
    options.add_argument("--autoplay-policy=no-user-gesture-required")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=webdriver.ChromeService(shutil.which("chromedriver")))
    driver.set_script_timeout(60)
    try:
        yield driver
    finally:
        driver.quit()


def complaints(browser) -> list[dict]:
    """What the console has said since this was last asked."""
    return [entry for entry in browser.get_log("browser") if entry["level"] in ("SEVERE", "WARNING")]


def look(browser, width=1400, scheme="light", media="") -> None:
    """Look at the page on a screen of so many pixels, or as it is printed."""
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features, "media": media})


def drawn(browser) -> None:
    """Wait until all charts are drawn, if there are some."""
    waiting = """const done = arguments[0], whole = document.documentElement;
      const look = () => whole.dataset.charts || !document.querySelector('[data-chart]') ? done(true) : setTimeout(look, 20);
      look();"""
    assert browser.execute_async_script(waiting)
