"""HTML pages that fetch nothing: the policy that a browser holds them to."""

import hashlib
from base64 import b64encode
from collections.abc import Sequence


def content_policy(styles: Sequence[str], scripts: Sequence[str]) -> str:
    """Return a content security policy that allows these styles and scripts alone, by hash."""
    kinds = {"style": styles, "script": scripts}
    allowed = [
        f"{kind}-src {' '.join(map(_hashed, texts))}" for kind, texts in kinds.items() if texts
    ]
    others = ["img-src data:", "base-uri 'none'", "form-action 'none'"]
    return "; ".join(["default-src 'none'", *allowed, *others])


def _hashed(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
