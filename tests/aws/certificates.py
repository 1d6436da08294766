"""A certificate authority made on the spot, AWS's names certified by it, and the files by which clients trust it."""

import ssl
from pathlib import Path

import trustme
from cryptography import x509
from cryptography.hazmat.primitives.serialization import NoEncryption
from cryptography.hazmat.primitives.serialization.pkcs12 import PKCS12Certificate, serialize_java_truststore

# One label for each `*`, as in AWS's own certificates: a bucket with dots in its name fits none of them.
_S3 = [
    name
    for host in ("s3.{}", "s3.dualstack.{}", "s3-fips.{}", "bucket.vpce-0a1b2c3d-4e5f6a7b.s3.{}.vpce")
    for region in ("eu-west-3", "eu-central-1", "us-east-1")
    for name in (f"{host.format(region)}.amazonaws.com", f"*.{host.format(region)}.amazonaws.com")
]
_NAMES = [*_S3, "*.s3.amazonaws.com", "*.amazonaws.com", "*.eu-west-3.amazonaws.com", "*.us-east-1.amazonaws.com"]


class Authority:
    """What the clients are told to trust, as files in a folder.

    Attributes:
        bundle: PEM, for Python and Rust.
        truststore: PKCS #12, for Java.
    """

    def __init__(self, folder: Path) -> None:
        authority = trustme.CA()
        self._server = authority.issue_cert(*_NAMES)
        self.bundle, self.truststore = folder / "ca.pem", folder / "ca.p12"
        authority.cert_pem.write_to_path(str(self.bundle))
        certificate = PKCS12Certificate(x509.load_pem_x509_certificate(authority.cert_pem.bytes()), b"the box's")
        self.truststore.write_bytes(serialize_java_truststore([certificate], NoEncryption()))

    def context(self) -> ssl.SSLContext:
        """For a server of AWS's names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._server.configure_cert(context)
        return context

    def variables(self) -> dict[str, str]:
        """By which Python's, Rust's and Java's clients trust the authority."""
        return {
            "AWS_CA_BUNDLE": str(self.bundle),
            "SSL_CERT_FILE": str(self.bundle),
            "JAVA_TOOL_OPTIONS": f"-Djavax.net.ssl.trustStore={self.truststore} -Djavax.net.ssl.trustStoreType=PKCS12",
        }
