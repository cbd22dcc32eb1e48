"""An authority of our own for tests, and certificates by it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_DAY = timedelta(days=1)
_ONLY_SIGNS = x509.KeyUsage(
    key_cert_sign=True,
    **dict.fromkeys(
        (
            "digital_signature",
            "content_commitment",
            "key_encipherment",
            "data_encipherment",
            "key_agreement",
            "crl_sign",
            "encipher_only",
            "decipher_only",
        ),
        False,
    ),
)


def make_certificates(folder: Path, *names: str) -> None:
    """Write `ca.crt`, and for each DNS name `NAME.crt` and `NAME.key`.

    They have all that RFC 5280 asks for: from Python 3.13 on it is checked.
    """
    authority = ec.generate_private_key(ec.SECP256R1())
    issuer = _name("An authority of tests")
    by_itself = (
        _certificate(issuer, issuer, authority.public_key(), authority)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(authority.public_key()), critical=False)
        .add_extension(_ONLY_SIGNS, critical=True)
    )
    _write(folder / "ca.crt", by_itself.sign(authority, hashes.SHA256()))
    for name in names:
        key = ec.generate_private_key(ec.SECP256R1())
        made = _certificate(_name(name), issuer, key.public_key(), authority).add_extension(
            x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False
        )
        _write(folder / f"{name}.crt", made.sign(authority, hashes.SHA256()))
        (folder / f"{name}.key").write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


def _certificate(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, authority: ec.EllipticCurvePrivateKey
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    made = x509.CertificateBuilder(issuer, subject, key, x509.random_serial_number(), now - _DAY, now + _DAY)
    identifier = x509.AuthorityKeyIdentifier.from_issuer_public_key(authority.public_key())
    return made.add_extension(identifier, critical=False)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _write(file: Path, certificate: x509.Certificate) -> None:
    file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
