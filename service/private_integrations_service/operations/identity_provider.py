"""Sign a person in with an identity provider: OpenID Connect, authorization code flow with PKCE.

The provider's answers are bounded in time and size, no redirect is followed, and no part of them is shown. An ID
token counts if its signature, issuer, audience, times and nonce are right, with an algorithm of public
keys (OpenID Connect Core 1.0, 3.1.3.7).
"""

import base64
import hashlib
import hmac
import json
import logging
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote_plus, urlencode, urlsplit

from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from private_integrations.contract import Problem, Refused

from ..http.fetching import Fetcher, FetchLimits, Target
from ..settings import IdentityProvider, is_this_machine
from .sign_in import Claims

# Bytes of each answer.
_LIMITS = FetchLimits(connect=5, total=10, answer=512 * 1024)
# Seconds for all requests of one step of a sign-in, including the wait for other threads with the same request.
_SECONDS = 15
_AT_ONCE = 8
_KEPT = timedelta(hours=1)
# An ID token may name a newer key than the known ones, and an attacker can invent one.
_ASKED_AGAIN = timedelta(minutes=1)
_CLOCKS_DIFFER = 60
_ALGORITHMS = ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512"]

_log = logging.getLogger(__name__)


class _FailedError(Exception):
    """Report that the provider did not answer, or gave an invalid answer; the message is for the operator's log."""


@dataclass(frozen=True)
class SignInAttempt:
    """Describe an open sign-in; its parts, which must match later, derive from a secret that only the browser has."""

    secret: str

    @property
    def state(self) -> str:
        """Return the value that the provider's answer must repeat."""
        return self._derived("state")

    @property
    def nonce(self) -> str:
        """Return the value that the ID token must repeat."""
        return self._derived("nonce")

    @property
    def verifier(self) -> str:
        """Return the proof for the exchange of the code (PKCE, RFC 7636)."""
        return self._derived("verifier")

    @property
    def challenge(self) -> str:
        """Return the hash of the verifier, which the provider gets beforehand."""
        return _base64url(hashlib.sha256(self.verifier.encode()).digest())

    def _derived(self, name: str) -> str:
        return _base64url(hmac.digest(self.secret.encode(), name.encode(), "sha256"))


@dataclass(frozen=True)
class _Known:
    """Hold the provider's description of itself, and its keys."""

    about: Mapping[str, Any]
    keys: KeySet
    read_at: datetime


class Provider:
    """Talk to the provider of the settings, and cache its description and keys."""

    def __init__(self, settings: IdentityProvider, back: str) -> None:
        """`back` is the URL that the provider sends people back to."""
        self._settings = settings
        self._back = back
        self._known: _Known | None = None
        self._asking = threading.Lock()
        self._places = threading.BoundedSemaphore(_AT_ONCE)
        self._fetcher = Fetcher(_LIMITS)

    def address(self, attempt: SignInAttempt, now: datetime) -> str | Refused:
        """Return the URL at the provider where a person signs in."""
        try:
            with self._place():
                by = time.monotonic() + _SECONDS
                endpoint = str(self._introduced(now, by).about["authorization_endpoint"])
        except _FailedError as error:
            return _refusal(error)
        query = {
            "response_type": "code",
            "client_id": self._settings.client_id,
            "redirect_uri": self._back,
            "scope": "openid email",
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def claims(self, attempt: SignInAttempt, answer: Mapping[str, str], now: datetime) -> Claims | Refused:
        """Return the provider's claims about a person who came back with this answer (the query of the address)."""
        if not hmac.compare_digest(answer.get("state", "").encode(), attempt.state.encode()):
            return Refused(Problem.SIGN_IN_LOST, "this answer belongs to no sign-in of this browser; begin again")
        if "error" in answer or "code" not in answer:
            return Refused(Problem.PROVIDER_FAILED, "the identity provider did not sign you in; begin again")
        try:
            with self._place():
                return self._exchanged(attempt, answer, now, time.monotonic() + _SECONDS)
        except _FailedError as error:
            return _refusal(error)

    def _exchanged(self, attempt: SignInAttempt, answer: Mapping[str, str], now: datetime, by: float) -> Claims:
        about = self._introduced(now, by).about
        said = answer.get("iss")
        # RFC 9207: an answer of another provider is not for this one's token endpoint.
        if said not in (None, about["issuer"]) or (
            said is None and about.get("authorization_response_iss_parameter_supported") is True
        ):
            raise _FailedError("its answer names another issuer, or none")
        tokens = self._token_answer(about, attempt, answer["code"], by)
        id_token = tokens.get("id_token")
        if not isinstance(id_token, str):
            raise _FailedError("its answer holds no ID token")
        claims = self._verified(id_token, attempt, now, by)
        if "email" not in claims:
            claims = {**claims, **self._more(about, tokens, claims["sub"], by)}
        vouched = claims.get("email_verified") is True and isinstance(claims.get("email"), str)
        return Claims(str(about["issuer"]), claims["sub"], claims["email"] if vouched else None)

    def _token_answer(self, about: Mapping[str, Any], attempt: SignInAttempt, code: str, by: float) -> dict[str, Any]:
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._back,
            "code_verifier": attempt.verifier,
        }
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        id_, secret = self._settings.client_id, self._settings.client_secret
        methods = about.get("token_endpoint_auth_methods_supported") or ["client_secret_basic"]
        if "client_secret_basic" not in methods and "client_secret_post" in methods:
            form |= {"client_id": id_, "client_secret": secret}
        else:
            # RFC 6749, 2.3.1: each is form-encoded first.
            pair = f"{quote_plus(id_)}:{quote_plus(secret)}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode()}"
        return self._ask("POST", str(about["token_endpoint"]), headers, by, urlencode(form).encode())

    def _verified(self, id_token: str, attempt: SignInAttempt, now: datetime, by: float) -> dict[str, Any]:
        known = self._introduced(now, by)
        expected = {"issuer": str(known.about["issuer"]), "client_id": self._settings.client_id, "nonce": attempt.nonce}
        try:
            return verified_claims(id_token, known.keys, now=now, **expected)
        except InvalidKeyIdError:
            keys = self._introduced(now, by, newer=True).keys
        except JoseError as error:
            raise _FailedError(f"its ID token is not good: {error}") from None
        try:
            return verified_claims(id_token, keys, now=now, **expected)
        except JoseError as error:
            raise _FailedError(f"its ID token is not good: {error}") from None

    def _more(self, about: Mapping[str, Any], tokens: Mapping[str, Any], subject: str, by: float) -> dict[str, Any]:
        """Ask the provider's userinfo endpoint for the email address, if there is one."""
        endpoint, token = about.get("userinfo_endpoint"), tokens.get("access_token")
        if endpoint is None or not isinstance(token, str) or not token.isascii() or not token.isprintable():
            return {}
        answer = self._ask("GET", str(endpoint), {"Authorization": f"Bearer {token}"}, by)
        if answer.get("sub") != subject:
            raise _FailedError("its userinfo is about somebody else")
        return {name: answer[name] for name in ("email", "email_verified") if name in answer}

    def _introduced(self, now: datetime, by: float, *, newer: bool = False) -> _Known:
        if not self._asking.acquire(timeout=max(0.0, by - time.monotonic())):
            raise _FailedError("it does not answer in time")
        try:
            known = self._known
            if known is None or now >= known.read_at + (_ASKED_AGAIN if newer else _KEPT):
                known = self._known = self._read(now, by)
            return known
        finally:
            self._asking.release()

    def _read(self, now: datetime, by: float) -> _Known:
        issuer = self._settings.issuer
        about = self._ask("GET", f"{issuer}/.well-known/openid-configuration", {}, by)
        if str(about.get("issuer", "")).rstrip("/") != issuer:
            raise _FailedError(f"{issuer} calls itself another issuer")
        for endpoint in ("authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint"):
            if endpoint in about or endpoint != "userinfo_endpoint":
                _refuse_endpoint(endpoint, about.get(endpoint))
        try:
            keys = KeySet.import_key_set(self._ask("GET", str(about["jwks_uri"]), {}, by))  # type: ignore[arg-type]
        except (JoseError, KeyError, TypeError, ValueError, AttributeError):
            raise _FailedError("its keys can't be read") from None
        return _Known(about, keys, now)

    def _ask(
        self, method: str, url: str, headers: dict[str, str], by: float, body: bytes | None = None
    ) -> dict[str, Any]:
        """Fetch the provider's answer within the limits' total time and before `by` on the monotonic clock."""
        try:
            sent = {"Accept": "application/json", **headers}
            answer = self._fetcher.fetch(method, Target.of(url), sent, body, by=by)
        except ssl.SSLCertVerificationError:
            raise _FailedError(f"the certificate of {_host(url)} is not trusted") from None
        except TimeoutError:
            raise _FailedError(f"{_host(url)} does not answer in time") from None
        except (OSError, ValueError) as error:
            raise _FailedError(f"{_host(url)} does not answer ({type(error).__name__})") from None
        try:
            parsed = json.loads(answer.body)
        except ValueError:
            parsed = None
        if answer.status != 200 or not isinstance(parsed, dict):
            code = parsed.get("error") if isinstance(parsed, dict) else None
            why = f" {code}" if isinstance(code, str) and code.isidentifier() else ""
            raise _FailedError(f"{_host(url)} answers {answer.status}{why} to {method} {urlsplit(url).path}")
        return parsed

    @contextmanager
    def _place(self) -> Iterator[None]:
        """Limit the threads that wait for the provider, so that a slow one can't take them all."""
        if not self._places.acquire(timeout=1):
            raise _FailedError("too many people wait for it")
        try:
            yield
        finally:
            self._places.release()


def verified_claims(
    id_token: str, keys: KeySet, *, issuer: str, client_id: str, nonce: str, now: datetime
) -> dict[str, Any]:
    """Return the claims of an ID token for this service, this sign-in and this moment; raises JoseError."""
    claims: dict[str, Any] = _decoded(id_token, keys)
    rules = jwt.JWTClaimsRegistry(
        now=int(now.timestamp()),
        leeway=_CLOCKS_DIFFER,
        iss={"essential": True, "value": issuer},
        aud={"essential": True, "value": client_id},
        sub={"essential": True},
        exp={"essential": True},
        iat={"essential": True},
    )
    rules.validate(claims)
    if claims.get("nonce") != nonce:
        raise JoseError("it belongs to another sign-in")
    several = isinstance(claims["aud"], list) and len(claims["aud"]) > 1
    if claims.get("azp", None if several else client_id) != client_id:
        raise JoseError("it was made for another client")
    return claims


def _decoded(id_token: str, keys: KeySet) -> dict[str, Any]:
    try:
        return jwt.decode(id_token, keys, algorithms=_ALGORITHMS).claims
    except (ValueError, TypeError, KeyError, AttributeError):
        # The library expects well-formed input; for other input it raises errors of Python.
        raise JoseError("it can't be read") from None


def _refuse_endpoint(name: str, url: object) -> None:
    parts = urlsplit(url) if isinstance(url, str) and re.fullmatch("[!-~]+", url) else None
    secure = parts is not None and (
        parts.scheme == "https" or (parts.scheme == "http" and is_this_machine(parts.hostname or ""))
    )
    if not secure:
        raise _FailedError(f"its {name} is no https address")


def _refusal(error: _FailedError) -> Refused:
    _log.warning("sign-in by the identity provider: %s", error)
    return Refused(Problem.PROVIDER_FAILED, "the identity provider can't be asked; try it again later")


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _base64url(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")
