"""Keys and certificates by the openssl program: one CA for the control plane, and as many more as tests want."""
import pathlib
import subprocess


def _openssl(*args):
    result = subprocess.run(["openssl", *map(str, args)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, f"openssl {' '.join(map(str, args))}: {result.stderr}"


class Authority:
    """A CA in a folder; its certificate is `ca.crt` there."""

    def __init__(self, folder, name="tessera-e2e"):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certificate = self.folder / "ca.crt"
        self.key = self.folder / "ca.key"
        _openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", 2, "-subj",
                 f"/CN={name}", "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-keyout", self.key, "-out",
                 self.certificate)

    def issue(self, name, common_name, organization=None, addresses=()):
        """Makes NAME.crt and NAME.key, good for servers at `addresses` (names and IPs) and for clients."""
        key, request, certificate = (self.folder / f"{name}.{suffix}" for suffix in ("key", "csr", "crt"))
        subject = (f"/O={organization}" if organization else "") + f"/CN={common_name}"
        names = ",".join(("IP:" if part.replace(".", "").isdigit() else "DNS:") + part for part in addresses)
        extensions = self.folder / f"{name}.ext"
        extensions.write_text("extendedKeyUsage=serverAuth,clientAuth\n" + (f"subjectAltName={names}\n" if names else ""))
        _openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", subject, "-keyout", key,
                 "-out", request)
        _openssl("x509", "-req", "-in", request, "-CA", self.certificate, "-CAkey", self.key, "-CAcreateserial", "-days",
                 2, "-extfile", extensions, "-out", certificate)
        return certificate, key


def key_pair(folder, name):
    """A bare key pair, as service account tokens are signed with. Returns (private, public)."""
    private, public = pathlib.Path(folder) / f"{name}.key", pathlib.Path(folder) / f"{name}.pub"
    _openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", private)
    _openssl("ec", "-in", private, "-pubout", "-out", public)
    return private, public
