"""Sign the URL of a picture: `python sign.py f:auto,w:800 https://img.example.com/a.jpg`.

The environment has CDN_URL, CDN_KEY and CDN_SECRET.
"""

import base64
import hashlib
import hmac
import os
import sys
from urllib.parse import quote


def sign(base: str, key_id: str, secret: str, options: str, source: str) -> str:
    """Return the URL under which `base` answers with `source`, made as `options` tell."""
    signed = f"{options}/{quote(source, safe='')}"
    digest = hmac.new(secret.encode(), signed.encode(), hashlib.sha256).digest()
    signature = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
    return f"{base}/cdn/{key_id}.{signature}/{signed}"


if __name__ == "__main__":
    print(sign(os.environ["CDN_URL"], os.environ["CDN_KEY"], os.environ["CDN_SECRET"], *sys.argv[1:3]))
