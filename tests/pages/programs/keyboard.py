"""Somebody who uses a page with the keyboard alone, and sees where they are at every stop."""

from dataclasses import dataclass

from chromium import Screen

_MOST_STOPS = 80

# What a stop is called, and what is wrong with it: it must be seen, on top, and after the one before.
_STOP = """() => {
    const stop = document.activeElement, last = window.lastStop;
    window.lastStop = stop;
    const wrong = [], box = stop.getBoundingClientRect(), style = getComputedStyle(stop);
    const [x, y] = [box.left + Math.min(box.width / 2, 20), box.top + box.height / 2];
    const top = document.elementFromPoint(x, y);
    if (style.outlineStyle === "none" || parseFloat(style.outlineWidth) < 2) wrong.push("no outline");
    if (!top || !(stop.contains(top) || stop.closest("label")?.contains(top))) wrong.push("hidden or covered");
    if (last?.isConnected && !(last.compareDocumentPosition(stop) & Node.DOCUMENT_POSITION_FOLLOWING))
        wrong.push("before the last stop");
    const name = stop.getAttribute("aria-label") ?? stop.labels?.[0]?.innerText ?? stop.innerText;
    return { name: name.trim(), wrong };
}"""


@dataclass
class Keyboard:
    """A keyboard before a screen."""

    screen: Screen

    def go_to(self, name: str) -> None:
        """Press Tab until the stop whose name begins like this."""
        self.screen.page.evaluate("window.lastStop = null")
        for _ in range(_MOST_STOPS):
            self.screen.page.keyboard.press("Tab")
            stop = self.screen.page.evaluate(_STOP)
            assert not stop["wrong"], f"{self.screen.path}: {stop}"
            if stop["name"].startswith(name):
                return
        raise AssertionError(f"{self.screen.path}: no stop is called {name}")

    def type(self, name: str, text: str) -> None:
        """Go to a field and type."""
        self.go_to(name)
        self.screen.page.keyboard.type(text)

    def press(self, name: str, key: str = "Enter") -> None:
        """Go to a link or button, press it, and wait for the page that it leads to."""
        self.go_to(name)
        with self.screen.page.expect_event("load"):
            self.screen.page.keyboard.press(key)
