"""Matplotlib's drawings as SVG that can stand inside a page: no styles, own ids, the page's ink."""

import re

INK = "#010203"
"""What ``drawing.mplstyle`` draws so takes the colour of the page's text, on light and on dark."""

_TAG = re.compile(r"<[^>]*>")
_LINK = re.compile(r"(href=\"#|url\(#)([\w-]+)")
_NUMBER = re.compile(r"-?\d+\.\d{3,}(?!\d|e)")
_NOT_NEEDED = re.compile(r"<metadata>.*?</metadata>|<style.*?</style>|(?<=>)\s+(?=<)", re.DOTALL)
_DROPPED_STYLES = ("font-family", "mix-blend-mode")


def inline(svg: str, prefix: str) -> str:
    """Return an SVG document of matplotlib's as an element of an HTML page.

    Styles become attributes, since a strict content security policy forbids the former; ids that
    nothing refers to go, and the others begin with ``prefix``. Two decimals of a point are enough.
    """
    head, _, body = svg[svg.index("<svg") :].partition(">")
    kept = {found[1] for found in _LINK.findall(svg)}

    def as_attributes(found: re.Match[str]) -> str:
        styles = (part.partition(":")[::2] for part in found[1].split(";"))
        known = ((name.strip(), value.strip()) for name, value in styles)
        return "".join(f' {n}="{v}"' for n, v in known if n not in _DROPPED_STYLES)

    def own_id(found: re.Match[str]) -> str:
        return f' id="{prefix}-{found[1]}"' if found[1] in kept else ""

    def of_a_page(found: re.Match[str]) -> str:
        tag = " ".join(found[0].split()).replace("base64, ", "base64,").replace("xlink:", "")
        tag = re.sub(' style="([^"]*)"', as_attributes, tag).replace(INK, "currentColor")
        tag = _LINK.sub(rf"\1{prefix}-\2", re.sub(' id="([^"]*)"', own_id, tag))
        return _NUMBER.sub(lambda number: f"{float(number[0]):.2f}", tag)

    size = re.findall(' viewBox="[^"]*"', head)[0]
    # As matplotlib's own style sheet has it, which goes with the others.
    drawing = f'<svg{size} stroke-linejoin="round" stroke-linecap="butt">'
    return drawing + _TAG.sub(of_a_page, _NOT_NEEDED.sub("", body))
