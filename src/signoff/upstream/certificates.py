"""Client certificates: the TLS contexts of upstreams that want one.

Owns loading them, once, at start, and saying what is wrong with a file without showing any of it.
The upstream's own certificate is verified all the same. Opens no connection.
"""

import ssl
from collections.abc import Iterable
from pathlib import Path

import httpx2

from signoff.catalog.model import ClientCertificate, Template, Upstream
from signoff.upstream.headers import CredentialError, References


def contexts_of(
    upstreams: Iterable[Upstream], references: References
) -> tuple[dict[str, ssl.SSLContext], list[str]]:
    """Return the contexts by upstream, and one sentence for each that cannot be made."""
    contexts: dict[str, ssl.SSLContext] = {}
    problems: list[str] = []
    for upstream in upstreams:
        certificate = upstream.client_certificate
        if certificate is None:
            continue
        try:
            contexts[upstream.name] = _context(certificate, references)
        except CredentialError as error:
            problems.append(f"upstreams.{upstream.name}.client_certificate.{error}")
    return contexts, problems


def _context(certificate: ClientCertificate, references: References) -> ssl.SSLContext:
    paths = {
        key: str(_path(key, parts, references))
        for key, parts in (
            ("cert", certificate.cert),
            ("key", certificate.key),
            ("ca", certificate.ca),
        )
        if parts
    }
    try:
        password = (
            references.resolve(certificate.password, approval_token=None).value.get_secret_value()
            if certificate.password
            else ""
        )
    except CredentialError as error:
        raise CredentialError(f"password: {error}") from None
    try:
        if "ca" in paths:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.load_verify_locations(paths["ca"])
        else:
            context = httpx2.create_ssl_context(trust_env=False)
    except (ssl.SSLError, OSError):
        raise CredentialError("ca: is no PEM file of certificates") from None
    try:
        # Without a function OpenSSL would ask for a password on the terminal.
        context.load_cert_chain(paths["cert"], paths["key"], password=lambda: password)
    except (ssl.SSLError, OSError, ValueError):
        raise CredentialError(
            "key: is not the PEM key of the certificate, or its password is not this one"
        ) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


def _path(key: str, parts: Template, references: References) -> Path:
    try:
        return references.path(parts)
    except CredentialError as error:
        raise CredentialError(f"{key}: {error}") from None
