"""HTML as a test reads it: headings and texts, forms with their fields, links."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

_VOID = {"input", "meta", "link", "br", "hr", "img"}


@dataclass(frozen=True)
class Button:
    """A button that sends its form: what it says, what it adds to the form, and where that goes."""

    text: str
    name: str
    value: str
    action: str


@dataclass
class Form:
    """A form: where it goes, its fields with their values as a browser would send them, and its buttons."""

    action: str
    method: str
    fields: dict[str, list[str]] = field(default_factory=dict)
    buttons: list[Button] = field(default_factory=list)


class Page(HTMLParser):
    """A page that was read; asks for nothing beyond what HTML says."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.links: list[tuple[str, str]] = []
        self.headings: list[str] = []
        self.rows: list[list[str]] = []
        self.ids: dict[str, str] = {}
        self.tags: list[tuple[str, dict[str, str]]] = []
        self._open: list[tuple[str, dict[str, str], list[str]]] = []
        self._texts: list[str] = []
        self._select: tuple[str, list[str], list[str]] | None = None
        self.feed(html)
        self.close()

    @property
    def text(self) -> str:
        """All that a person reads, in one line."""
        return _plain(self._texts)

    def form(self, action: str) -> Form:
        """The form that goes there."""
        [found] = [form for form in self.forms if form.action.partition("?")[0] == action]
        return found

    def link(self, text: str) -> str:
        """Where the link with this text leads."""
        [found] = {address for address, said in self.links if said == text}
        return found

    def handle_starttag(self, tag, attributes):
        given = {name: value or "" for name, value in attributes}
        self.tags.append((tag, given))
        if tag == "form":
            self.forms.append(Form(given.get("action", ""), given.get("method", "get")))
        if self.forms and tag == "input" and "name" in given:
            ticked = given.get("type") not in ("checkbox", "radio") or "checked" in given
            if ticked:
                self._add(given["name"], given.get("value", ""))
        if tag == "option" and self._select is not None:
            value = given.get("value")
            if "selected" in given or not self._select[1]:
                self._select[1][:] = [value or ""]
        if tag == "select":
            self._select = (given["name"], [], [])
        if tag not in _VOID:
            self._open.append((tag, given, []))
        if tag == "tr":
            self.rows.append([])

    def handle_data(self, data):
        for _, _, texts in self._open:
            texts.append(data)
        if not any(tag in ("script", "style", "title", "head") for tag, _, _ in self._open):
            self._texts.append(data)

    def handle_endtag(self, tag):
        opened, given, texts = self._open.pop()
        assert opened == tag, f"</{tag}> closes <{opened}>"
        said = _plain(texts)
        if "id" in given:
            assert given["id"] not in self.ids, f"id {given['id']} twice"
            self.ids[given["id"]] = said
        if tag == "a":
            self.links.append((given.get("href", ""), said))
        if tag in ("h1", "h2"):
            self.headings.append(said)
        if tag in ("td", "th"):
            self.rows[-1].append(said)
        if tag == "button" and given.get("type") != "button":
            form = self.forms[-1]
            target = given.get("formaction", form.action)
            form.buttons.append(Button(said, given.get("name", ""), given.get("value", ""), target))
        if tag == "textarea":
            self._add(given["name"], "".join(texts))
        if tag == "select":
            assert self._select is not None
            self._add(self._select[0], "".join(self._select[1]))
            self._select = None

    def _add(self, name: str, value: str) -> None:
        self.forms[-1].fields.setdefault(name, []).append(value)


def _plain(texts: list[str]) -> str:
    return " ".join("".join(texts).split())
