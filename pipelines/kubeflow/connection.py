"""The way to Kubeflow Pipelines: kfp's own client, with limited patience and errors that say the way out.

    client = connect("https://kubeflow.example.org/pipeline", namespace=None)

Who asks is decided as kfp's client does: a token, cookies, the files below ``~/.config/kfp``, the variables
``KF_PIPELINES_…``, and in a cluster the token of the service account.
"""

from __future__ import annotations

import json
import os
import pathlib
import re
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import kfp.client
import urllib3
from google.auth.exceptions import GoogleAuthError
from kfp_server_api.exceptions import ApiException
from kfp_server_api.rest import RESTClientObject

from tinytimbre.errors import TinyTimbreError

PATIENCE_SECS = 60.0
"""For the answer to one request; connecting may take as long."""

CONNECT_RETRIES = 2
TOKEN, COOKIES, AUTHORITIES = "KFP_EXISTING_TOKEN", "KFP_COOKIES", "KFP_SSL_CA_CERT"
"""Environment variables; the first is that of the command ``kfp``."""

LOG_IN = f"log in again and set {TOKEN}, {kfp.client.KF_PIPELINES_SA_TOKEN_ENV} or {COOKIES}"
OLD_HEALTH = "/apis/v1beta1/healthz"
SHOWN_CHARACTERS = 300
UNAUTHORIZED, FORBIDDEN, NOT_FOUND, CONFLICT = 401, 403, 404, 409
REFUSALS = {
    UNAUTHORIZED: (
        "Kubeflow Pipelines must accept the token or the cookies",
        "they have expired, or there are none",
        f"{LOG_IN}; then run the same command again",
    ),
    FORBIDDEN: (
        "whoever asks must be allowed to",
        "another user's namespace, or cookies that have expired",
        f"name your own with --namespace, or {LOG_IN}",
    ),
}
"""Status → rule, cause, way out."""

UNDERSTOOD = ("Kubeflow Pipelines must carry out what it is asked", "", "")
BROKEN = (
    UNDERSTOOD[0],
    "a fault of the server, or of what is in front of it",
    "run the same command again; what is there already is used",
)


class RefusedError(TinyTimbreError):
    """The server understood and said no; ``status`` is that of HTTP."""

    status: int = 0


class _Transport(RESTClientObject):
    """kfp's transport, which would wait for ever and takes a login page for an answer without content."""

    def __init__(self, configuration: Any) -> None:
        # Only connecting is tried again: whether a request that got no answer was carried out is unknown.
        configuration.retries = urllib3.Retry(connect=CONNECT_RETRIES, read=False, redirect=5, status=0, other=0)
        super().__init__(configuration)
        self.host = configuration.host

    def request(self, method: str, url: str, **options: Any) -> Any:
        """As kfp's own.

        Raises:
            TinyTimbreError: no answer, a refusal, or one that is not of Kubeflow Pipelines.
        """
        options["_request_timeout"] = (PATIENCE_SECS, PATIENCE_SECS)
        try:
            answer = super().request(method, url, **options)
        except ApiException as error:
            _refuse(error, host=self.host)
        except urllib3.exceptions.HTTPError as error:
            raise _no_answer(error, host=self.host) from error
        if "json" not in (answer.getheader("content-type") or "") or not answer.data.lstrip().startswith(b"{"):
            raise _not_kubeflow(f"{self.host} answers with something else than the API")
        return answer


class _Client(kfp.client.Client):
    """kfp's client over `_Transport`; its constructor may ask for the server's health, so this is installed there."""

    def get_kfp_healthz(self, sleep_duration: int = 0) -> Any:
        """Once; kfp would repeat for 25 s what a wrong token cannot mend."""
        client = self._healthz_api.api_client
        if not isinstance(client.rest_client, _Transport):
            client.rest_client = _Transport(client.configuration)
        try:
            return self._healthz_api.healthz_service_get_healthz()
        except RefusedError as error:
            if error.status == NOT_FOUND:
                raise _other_version(client.rest_client) from error
            raise


def connect(host: str | None, *, namespace: str | None) -> kfp.client.Client:
    """A client whose server answers, speaks this version of the API and accepts who asks.

    Args:
        host: URL of Kubeflow Pipelines; None in a pod of its cluster.
        namespace: of the user, where each has one.

    Raises:
        TinyTimbreError: no such server, another kind of server, a token that is not accepted, no namespace.
    """
    try:
        client = _Client(
            host=host,
            namespace=namespace or "kubeflow",  # by which kfp means none
            existing_token=os.environ.get(TOKEN),
            cookies=os.environ.get(COOKIES),
            ssl_ca_cert=os.environ.get(AUTHORITIES),
            credentials=_credentials(),
        )
        health = client.get_kfp_healthz()
    except (GoogleAuthError, OSError, ValueError) as error:
        raise TinyTimbreError(
            "the credentials for Kubeflow Pipelines must be usable", got=_short(str(error)), remedy=LOG_IN
        ) from error
    if health.multi_user and not client.get_user_namespace():
        raise TinyTimbreError(
            "where users have namespaces, one must be named",
            got="none",
            remedy="--namespace, with the name that the dashboard shows at the top",
        )
    return client


def pages(ask: Callable[[str], Any], *, field: str) -> Iterator[Any]:
    """All entries of a list that the server hands out in pages.

    Args:
        ask: page token, at first empty, → response.
        field: of the response that holds the entries.
    """
    token = ""
    while True:
        answer = ask(token)
        yield from getattr(answer, field) or ()
        token = answer.next_page_token
        if not token:
            return


def _credentials() -> kfp.client.ServiceAccountTokenVolumeCredentials | None:
    """A token from a file, which is read again for every request: whoever renews it, a long command goes on."""
    named = os.environ.get(kfp.client.KF_PIPELINES_SA_TOKEN_ENV)
    path = pathlib.Path(named or kfp.client.KF_PIPELINES_SA_TOKEN_PATH)
    return kfp.client.ServiceAccountTokenVolumeCredentials(str(path)) if named or path.is_file() else None


def _refuse(error: ApiException, *, host: str) -> NoReturn:
    """Says it in our words."""
    status = error.status or 0
    rule, cause, remedy = REFUSALS.get(status, BROKEN if status >= 500 else UNDERSTOOD)
    refusal = RefusedError(rule, got=f"{status} from {host}: {_said(error)}", cause=cause, remedy=remedy)
    refusal.status = status
    raise refusal from error


def _said(error: ApiException) -> str:
    """The server's message, which is JSON where Kubeflow itself speaks."""
    body = error.body.decode(errors="replace") if isinstance(error.body, bytes) else str(error.body or "")
    try:
        return _short(str(json.loads(body)["message"]))
    except (ValueError, KeyError, TypeError):
        return _short(str(error.reason))


def _short(text: str) -> str:
    """One line; the server's messages repeat themselves along its call stack."""
    return re.sub(r"\s+", " ", text).strip()[:SHOWN_CHARACTERS]


def _no_answer(error: urllib3.exceptions.HTTPError, *, host: str) -> TinyTimbreError:
    reason = getattr(error, "reason", None) or error
    if isinstance(reason, urllib3.exceptions.SSLError):
        return TinyTimbreError(
            "the certificate of Kubeflow Pipelines must be one that is trusted",
            got=f"{host}: {_short(str(reason))}",
            remedy=f"{AUTHORITIES}=/path/to/the/certificates.pem",
        )
    if isinstance(reason, urllib3.exceptions.ReadTimeoutError):
        return TinyTimbreError(
            f"Kubeflow Pipelines must answer within {PATIENCE_SECS:g} s",
            got=f"{host} is silent",
            cause="an overloaded server; whether it has done what it was asked is unknown",
            remedy="`tinytimbre status --host URL` lists the runs it knows; then run the same command again",
        )
    return TinyTimbreError(
        "Kubeflow Pipelines must be reachable",
        got=f"{host}: {_short(str(reason))}",
        cause="a wrong --host, or a `kubectl port-forward` that has ended",
        remedy="open the address in a browser",
    )


def _other_version(transport: _Transport) -> TinyTimbreError:
    """What a server is that does not know the health of the current API."""
    try:
        transport.request("GET", f"{transport.host}{OLD_HEALTH}")
    except TinyTimbreError:
        return _not_kubeflow(f"{transport.host} knows no /apis/v2beta1/healthz")
    return TinyTimbreError(
        "Kubeflow Pipelines must be of version 2, with the API v2beta1",
        got=f"{transport.host} speaks v1beta1 only",
        remedy="ask for an upgrade, or use another server",
    )


def _not_kubeflow(got: str) -> TinyTimbreError:
    return TinyTimbreError(
        "--host must be the API of Kubeflow Pipelines",
        got=got,
        cause="another service, a path that is missing, or a login page that is shown without a valid cookie",
        remedy=f"with a dashboard the address ends in /pipeline; {LOG_IN}",
    )
