"""Reads who made a picture, and who may use it, out of XMP (ISO 16684-1), and writes that alone."""

from typing import Final
from xml.etree import ElementTree
from xml.sax.saxutils import escape

_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_DC: Final = "http://purl.org/dc/elements/1.1/"
_RIGHTS: Final = "http://ns.adobe.com/xap/1.0/rights/"
_PHOTOSHOP: Final = "http://ns.adobe.com/photoshop/1.0/"
_NAMES: Final = {
    f"{{{_DC}}}creator": "artist",
    f"{{{_DC}}}rights": "copyright",
    f"{{{_PHOTOSHOP}}}Credit": "credit",
    f"{{{_RIGHTS}}}WebStatement": "web_statement",
    f"{{{_RIGHTS}}}UsageTerms": "usage_terms",
}
_ITEM: Final = f"{{{_RDF}}}li"
_LANGUAGE: Final = "{http://www.w3.org/XML/1998/namespace}lang"
#: Packets with a history of edits grow; one that is longer is left behind unread.
_MAX_BYTES: Final = 1024 * 1024


def read_rights(packet: bytes) -> dict[str, str]:
    """Return the statements that there are, by the names of `rights.Rights`; none of a packet that is broken.

    A packet with a document type is none: XMP has no use for one, and what it declares could unfold without end.
    """
    if len(packet) > _MAX_BYTES:
        return {}
    try:
        parser = ElementTree.XMLParser(target=_Builder())  # noqa: S314 (nothing can be declared: see `_Builder`)
        parser.feed(packet.rstrip(b"\0"))
        root = parser.close()
    except (ElementTree.ParseError, LookupError, ValueError):
        return {}
    found: dict[str, str] = {}
    for element in root.iter():
        for name, text in element.attrib.items():
            if name in _NAMES:
                found.setdefault(_NAMES[name], text)
        # The first counts; and no more are looked into, because they may lie in each other.
        if element.tag in _NAMES and _NAMES[element.tag] not in found:
            found[_NAMES[element.tag]] = _text_of(element)
    return found


def build_rights(artist: str, copyright_: str, credit: str, web_statement: str, usage_terms: str) -> bytes:
    """Write a packet of these statements; an empty one is left out."""
    parts = (
        _wrap("dc:creator", artist, "<rdf:Seq><rdf:li>{}</rdf:li></rdf:Seq>"),
        _wrap("dc:rights", copyright_, '<rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt>'),
        _wrap("photoshop:Credit", credit, "{}"),
        _wrap("xmpRights:WebStatement", web_statement, "{}"),
        _wrap("xmpRights:UsageTerms", usage_terms, '<rdf:Alt><rdf:li xml:lang="x-default">{}</rdf:li></rdf:Alt>'),
    )
    return (
        f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{_RDF}"><rdf:Description rdf:about=""'
        f' xmlns:dc="{_DC}" xmlns:photoshop="{_PHOTOSHOP}" xmlns:xmpRights="{_RIGHTS}">{"".join(parts)}'
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode("ascii", "xmlcharrefreplace")  # libvips' PNG writer takes it for Latin-1


class _Builder(ElementTree.TreeBuilder):
    """Builds what has no document type."""

    def doctype(self, name: str, public_id: str | None, system_id: str | None) -> None:
        """Refuse, before anything in it is declared."""
        raise ValueError("XMP has no document type")


def _text_of(element: ElementTree.Element) -> str:
    """Return a value: a text, all items of a list, or of a text in several languages the one for everybody."""
    items = list(element.iter(_ITEM))
    if not items:
        return element.text or ""
    languages = [item.get(_LANGUAGE) for item in items]
    if any(languages):
        items = [items[languages.index("x-default") if "x-default" in languages else 0]]
    return "; ".join(item.text or "" for item in items)


def _wrap(name: str, text: str, form: str) -> str:
    return f"<{name}>{form.format(escape(text))}</{name}>" if text else ""
