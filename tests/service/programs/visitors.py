"""People who visit the settings pages, without a browser: a session of their own, and forms sent as a page has them."""

import re
import uuid
from urllib.parse import urlencode

import requests

from pages import Page
from private_integrations.client import Client
from private_integrations.connection import ServiceConnection
from private_integrations.contract import AccountRequest, UserRequest

PASSWORD = "correct horse battery staple"


class Visitor:
    """Somebody with a browser's cookies and no JavaScript."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._browser = requests.Session()
        self._form_key = ""

    @property
    def cookies(self) -> dict[str, str]:
        """The cookies of the session, by name."""
        return self._browser.cookies.get_dict()

    def get(self, path: str) -> requests.Response:
        """Open a page; redirects are followed."""
        return self._read(self._browser.get(self.url + path, timeout=10))

    def post(self, path: str, *, follow: bool = True, **fields: object) -> requests.Response:
        """Send a form with the key of the page that was opened last; `fields` may be lists."""
        form = {"form_key": self._form_key} | fields
        return self._send(path, form, follow=follow)

    def press(self, answer: requests.Response, button: str, **entered: object) -> requests.Response:
        """Fill in the form of a page that has this button, as it came but for what is entered, and press it."""
        [(form, pressed)] = [(f, b) for f in Page(answer.text).forms for b in f.buttons if b.text == button]
        fields = form.fields | entered | ({pressed.name: pressed.value} if pressed.name else {})
        if form.method == "get":
            return self.get(f"{pressed.action}?{urlencode(fields, doseq=True)}")
        return self._send(pressed.action, fields, follow=True)

    def _send(self, path: str, form: dict[str, object], *, follow: bool) -> requests.Response:
        # As browsers say it to this machine; to other hosts over plain http they say the origin only.
        sent = {"Origin": self.url, "Sec-Fetch-Site": "same-origin"}
        answer = self._browser.post(self.url + path, data=form, headers=sent, timeout=10, allow_redirects=follow)
        return self._read(answer)

    def _read(self, answer: requests.Response) -> requests.Response:
        found = re.search(r'name="form_key" value="([^"]+)"', answer.text)
        if found:
            self._form_key = found[1]
        return answer


def new_account(url: str, key: str, name: str = "Dental", *, agency: str | None = None) -> str:
    """A sub-account that no other test knows, of the first agency or this one; answers its id."""
    client = Client(ServiceConnection(url, key))
    account_id = uuid.uuid4().hex[:20]
    agency = agency or next(account.id for account in client.accounts() if account.kind == "agency")
    client.put_account(account_id, AccountRequest(name=name, agency_id=agency))
    return account_id


def new_agency(url: str, key: str, name: str = "Agency") -> str:
    """An agency that no other test knows; answers its id."""
    account_id = uuid.uuid4().hex[:20]
    Client(ServiceConnection(url, key)).put_account(account_id, AccountRequest(name=name, kind="agency"))
    return account_id


def new_visitor(url: str, key: str, account: str, *, role: str = "admin", email: str | None = None) -> Visitor:
    """A new user with this role in an account, invited with a management key, who has chosen a password."""
    email = email or f"{uuid.uuid4().hex[:12]}@example.com"
    request = UserRequest(memberships=[{"account": account, "role": role}])
    invitation = Client(ServiceConnection(url, key)).invite_user(email, request)
    visitor = Visitor(url)
    welcome = f"/settings/welcome/{invitation.code}"
    visitor.get(welcome)
    answer = visitor.post(welcome, password=PASSWORD)
    assert answer.url == url + "/settings/private-integrations", answer.text
    return visitor
