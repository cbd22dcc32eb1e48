"""A real Chromium, what its pages must never do, and what a person without eyes, a mouse or a wide screen meets."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playwright.sync_api import Browser, ConsoleMessage, Page, Request, sync_playwright

from canary import secrets_in
from throwaway import REPOSITORY

AXE = REPOSITORY / ".venv" / "javascript" / "node_modules" / "axe-core" / "axe.min.js"

PHONE = {"width": 360, "height": 740}
DESKTOP = {"width": 1280, "height": 800}
WIDE = {"width": 1600, "height": 900}

_ARGUMENTS = (
    "--no-sandbox",  # the tests run as root in containers
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-proxy-server",
    # Nothing but the service is there: no other name has an address.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

_FAKE_TOKEN = "pit-" + "0a1b2c3d-4e5f-4a6b-8c7d-9e0f1a2b3c4d"
_FAKE_ADDRESS = "https://integrations.example.com"

_REDACT = """([token, address]) => {
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode;
        text.data = text.data.replace(/pit-[0-9a-f-]{36}/g, token).replaceAll(location.origin, address);
    }
}"""

_STANDARDS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

_FAULTS_OF = """async (only) => {
    const found = await axe.run({ runOnly: only, resultTypes: ["violations"] });
    return found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ target }) => target.join(" ")).join(", ")}`);
}"""

# What a finger can use, but for links in running text, and what is only there for screen readers.
_SMALL_TARGETS = """() => {
    const targets = document.querySelectorAll("a[href], button, summary, input:not([type=hidden]), select, textarea");
    const small = [];
    for (const target of targets) {
        const label = target.closest("label");
        const box = (label ?? target).getBoundingClientRect();
        if (!target.checkVisibility({ visibilityProperty: true }) || target.matches(".skip")) continue;
        if (target.matches("a") && getComputedStyle(target).display === "inline") continue;
        if (box.height < 44 || box.width < 24) small.push(`${box.width} x ${box.height}: ${target.outerHTML}`);
    }
    return small;
}"""


@contextmanager
def running_chromium() -> Iterator[Browser]:
    """Debian's Chromium, with a profile of its own, until the block ends."""
    executable = shutil.which("chromium")
    assert executable, "there is no Chromium; run scripts/test-tools"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=_ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Screen:
    """A page that somebody looks at, and whatever it did wrong meanwhile."""

    page: Page
    url: str
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.page.set_default_timeout(30_000)
        self.page.on("console", self._console)
        self.page.on("pageerror", lambda error: self.faults.append(f"script: {error}"))
        self.page.on("request", self._request)

    def open(self, path: str) -> int:
        """Go to a path of the service; the status of the answer."""
        answer = self.page.goto(self.url + path)
        assert answer is not None
        return answer.status

    @property
    def path(self) -> str:
        """Where the page is now, with its query."""
        parts = urlsplit(self.page.url)
        return parts.path + (f"?{parts.query}" if parts.query else "")

    def press(self, name: str, *, role: Any = "button") -> None:
        """Press the one button (or link) of this name, and wait for the page that it leads to."""
        with self.page.expect_event("load"):
            self.page.get_by_role(role, name=name, exact=True).click()

    def pasted(self) -> str:
        """What the clipboard holds, pasted into a field that is put on the page for it and taken away again."""
        self.page.evaluate("document.querySelector('main').append(document.createElement('textarea'))")
        field = self.page.locator("main > textarea")
        field.press("ControlOrMeta+v")
        held = field.input_value()
        field.evaluate("field => field.remove()")
        return held

    def text(self) -> str:
        """What is to be read on the page."""
        return self.page.locator("main").inner_text()

    def look(self) -> None:
        """Judge the page as it is: accessible in light and dark, wide and narrow, and usable with a thumb."""
        assert self.page.locator("h1").count() == 1
        before = self.page.viewport_size
        assert before is not None
        self.page.evaluate(AXE.read_text())
        # No colour depends on the width.
        found = self._seen(DESKTOP, "light") + self._seen(PHONE, "dark")
        found += self.page.evaluate(_SMALL_TARGETS)
        assert not found, "\n".join([self.path, *found])
        self.page.emulate_media(color_scheme="null")
        self.page.set_viewport_size(before)
        self.fits()

    def fits(self) -> None:
        """Judge whether the page is as wide as the screen, on a phone and on a large desktop."""
        before = self.page.viewport_size
        assert before is not None
        for size in (PHONE, WIDE):
            self.page.set_viewport_size(size)
            assert self.page.evaluate("document.documentElement.scrollWidth") <= size["width"], f"{self.path}: {size}"
        self.page.set_viewport_size(before)

    def _seen(self, size: Any, scheme: Any) -> list[str]:
        self.page.set_viewport_size(size)
        self.page.emulate_media(color_scheme=scheme)
        found = self.page.evaluate(_FAULTS_OF, _STANDARDS)
        return [f"{scheme}, {size['width']} px: {fault}" for fault in found]

    def _console(self, message: ConsoleMessage) -> None:
        # That a page's status is not 200 is told by the page, and asserted by the test that goes there.
        answered = message.text.startswith("Failed to load resource") and message.location["url"] == self.page.url
        if message.type in ("error", "warning") and not answered:
            self.faults.append(f"console: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self.url + "/settings/", "blob:" + self.url)):
            self.faults.append(f"request: {request.url}")


def picture(screen: Screen, file: Path, **options: Any) -> None:
    """Write what is to be seen into a file, with a token that never was in the place of each one shown."""
    screen.page.evaluate(_REDACT, [_FAKE_TOKEN, _FAKE_ADDRESS])
    assert secrets_in(screen.page.content().replace(_FAKE_TOKEN, "").encode()) == set()
    screen.page.evaluate("document.activeElement?.blur()")
    screen.page.screenshot(path=file, animations="disabled", **options)
