"""A real browser for the tests of the page: pages that fail on errors of scripts, and what people do on them."""

import importlib.util
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sync_api = pytest.importorskip("playwright.sync_api", reason="needs the Python package playwright")
from playwright.sync_api import Browser, FilePayload, FloatRect, Locator, Page, expect  # noqa: E402, F401

expect.set_options(timeout=30_000)  # a busy machine is slow, and not wrong

BROWSERS = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
"""Programs that can be the browser; the first takes a third of the processor time of the others."""

BROWSER = next((path for name in BROWSERS if (path := shutil.which(name))), None)
FLAGS = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip
PACKAGE = importlib.util.find_spec("axe_playwright_python")
AXE = Path((PACKAGE and PACKAGE.origin) or "nowhere").with_name("axe.min.js")

NEEDED = "needs a browser; on Debian: apt-get install chromium-headless-shell"
needs_browser = pytest.mark.skipif(BROWSER is None, reason=NEEDED)


def chromium() -> Iterator[Browser]:
    """A browser, for a fixture."""
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=BROWSER, args=FLAGS)
        yield browser
        browser.close()


def opened(browser: Browser, address: str, **options: Any) -> Iterator[Page]:
    """A page of its own; an error in a script, or a rule of the content security policy that was broken, fails."""
    settings: dict[str, Any] = {"viewport": {"width": 1280, "height": 900}, "locale": "en-GB"} | options
    context = browser.new_context(**settings)
    context.set_default_timeout(30_000)
    page, troubles = context.new_page(), []
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("console", lambda said: troubles.append(said.text) if "Content Security Policy" in said.text else None)
    page.on("request", lambda request: troubles.append(request.url) if elsewhere(request.url, address) else None)
    page.goto(address)
    yield page
    context.close()
    assert troubles == [], "\n".join(troubles)


def elsewhere(url: str, address: str) -> bool:
    return not url.startswith((address, "blob:", "data:"))


def choose(page: Page, photo: bytes, name: str = "snap.png") -> None:
    page.set_input_files("#file", {"name": name, "mimeType": "image/png", "buffer": photo})
    if page.evaluate("document.documentElement.classList.contains('scripts')"):
        page.wait_for_selector(".outcome[data-searching=yes]")


def expect_first(page: Page, title: str) -> None:
    expect(page.locator(".grid .card h3").first).to_have_text(title)


def status(page: Page) -> Locator:
    return page.locator("#results [role=status]")


def axe(page: Page) -> list[str]:
    expect(page.locator("#results[aria-busy]")).to_have_count(0)
    page.add_script_tag(path=AXE)
    violations = page.evaluate("async () => (await axe.run(document)).violations")
    return [
        f"{one['id']}: {node['html'][:120]} {node.get('failureSummary', '')}"
        for one in violations
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def snap(page: Page, photo: bytes, garments: int) -> None:
    """Choose a photo, and wait for the buttons of so many garments and for their results."""
    choose(page, photo)
    expect(page.locator("#garments .garment")).to_have_count(garments)
    expect(page.locator("#results[aria-busy]")).to_have_count(0)
