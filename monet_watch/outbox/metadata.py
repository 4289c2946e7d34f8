"""What a painting's file tells of itself and of its photo: EXIF, an XMP packet, and texts of a PNG.

What comes from the photo is from strangers: it is kept as text, and whatever no text may hold is left out.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from xml.sax.saxutils import escape, quoteattr

from PIL import ExifTags, Image
from PIL.TiffImagePlugin import IFDRational

__all__ = ["Location", "Metadata"]

Location = tuple[float, float, float | None]
"""Degrees north, degrees east, and metres above the sea, where that is known."""

_SECONDS_DENOMINATOR = 10_000  # of an arc second: some millimetres
_METRES_DENOMINATOR = 100
_LONGEST_TEXT = 2000  # characters: a JPEG has room for 64 KB of XMP


@dataclass(frozen=True, slots=True)
class Metadata:
    """``date_taken`` is ``YYYY:MM:DD HH:MM:SS`` in the camera's local time; what is not known is empty or None."""

    software: str = ""
    recipe: str = ""
    identity: str = ""
    date_taken: str | None = None
    make: str = ""
    model: str = ""
    description: str = ""
    location: Location | None = None

    def text(self) -> Mapping[str, str]:
        """Return what a PNG says by its text chunks, keyword to value (PNG, third edition, 11.3.3.1)."""
        named = {"Software": self.software, "Recipe": self.recipe, "Identity": self.identity}
        return {key: _clean(value) for key, value in {**named, "Description": self.description}.items() if value}

    def exif(self) -> bytes:
        """Return a block of EXIF; empty where there is nothing to say in it."""
        exif = Image.Exif()
        texts = {
            ExifTags.Base.ImageDescription: self.description,
            ExifTags.Base.Make: self.make,
            ExifTags.Base.Model: self.model,
            ExifTags.Base.Software: self.software,
            ExifTags.Base.DateTime: self.date_taken or "",
        }
        for tag, value in texts.items():
            if value.isascii() and value:  # EXIF knows no other letters; XMP does
                exif[tag] = _clean(value)
        if self.date_taken is not None:
            exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.DateTimeOriginal] = self.date_taken
        if self.location is not None:
            exif.get_ifd(ExifTags.IFD.GPSInfo).update(_gps(self.location))
        return exif.tobytes() if len(exif) or self.location is not None else b""

    def xmp(self) -> bytes:
        """Return an XMP packet (ISO 16684-1): the same, in any letters, with the recipe and the painting's identity."""
        values = {
            "xmp:CreatorTool": self.software,
            "dc:identifier": self.identity,
            "monet:recipe": self.recipe,
            "monet:identity": self.identity,
            "tiff:Make": self.make,
            "tiff:Model": self.model,
            "photoshop:DateCreated": _iso(self.date_taken),
            "exif:DateTimeOriginal": _iso(self.date_taken),
            **_xmp_place(self.location),
        }
        attributes = "".join(f"\n   {name}={quoteattr(_clean(value))}" for name, value in values.items() if value)
        return _PACKET.format(attributes=attributes, description=_xmp_description(self.description)).encode()


_PACKET = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
   xmlns:dc="http://purl.org/dc/elements/1.1/"
   xmlns:xmp="http://ns.adobe.com/xap/1.0/"
   xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
   xmlns:exif="http://ns.adobe.com/exif/1.0/"
   xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
   xmlns:monet="urn:monet-watch:1.0/"{attributes}>{description}
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="r"?>"""


def _xmp_description(text: str) -> str:
    words = escape(_clean(text))
    start, end = '<dc:description><rdf:Alt><rdf:li xml:lang="x-default">', "</rdf:li></rdf:Alt></dc:description>"
    return f"\n   {start}{words}{end}" if words else ""


def _clean(text: str) -> str:
    """As much of the text as files hold, without what XML 1.0 does not allow (2.2) and what could turn round a line."""
    return "".join(each for each in text if each.isprintable() or each in "\n\t")[:_LONGEST_TEXT]


def _iso(date_taken: str | None) -> str:
    return "" if date_taken is None else datetime.strptime(date_taken, "%Y:%m:%d %H:%M:%S").isoformat()


def _xmp_place(location: Location | None) -> dict[str, str]:
    if location is None:
        return {}
    north, east, metres = location
    place = {"exif:GPSLatitude": _xmp_angle(north, "NS"), "exif:GPSLongitude": _xmp_angle(east, "EW")}
    if metres is None:
        return place
    height = {"exif:GPSAltitude": f"{round(abs(metres) * _METRES_DENOMINATOR)}/{_METRES_DENOMINATOR}"}
    return {**place, **height, "exif:GPSAltitudeRef": str(int(metres < 0))}


def _xmp_angle(degrees: float, letters: str) -> str:
    whole, minutes = divmod(abs(degrees) * 60, 60)
    return f"{int(whole)},{minutes:.6f}{letters[degrees < 0]}"


def _gps(location: Location) -> dict[int, object]:
    """The GPS block of EXIF (Exif 2.32, 4.6.6)."""
    north, east, metres = location
    block: dict[int, object] = {
        ExifTags.GPS.GPSVersionID: b"\x02\x03\x00\x00",
        ExifTags.GPS.GPSLatitudeRef: "NS"[north < 0],
        ExifTags.GPS.GPSLatitude: _sexagesimal(north),
        ExifTags.GPS.GPSLongitudeRef: "EW"[east < 0],
        ExifTags.GPS.GPSLongitude: _sexagesimal(east),
    }
    if metres is not None:
        block[ExifTags.GPS.GPSAltitudeRef] = bytes([metres < 0])
        block[ExifTags.GPS.GPSAltitude] = IFDRational(round(abs(metres) * _METRES_DENOMINATOR), _METRES_DENOMINATOR)
    return block


def _sexagesimal(degrees: float) -> tuple[IFDRational, IFDRational, IFDRational]:
    parts = round(abs(degrees) * 3600 * _SECONDS_DENOMINATOR)
    minutes, seconds = divmod(parts, 60 * _SECONDS_DENOMINATOR)
    whole, minutes = divmod(minutes, 60)
    return IFDRational(whole, 1), IFDRational(minutes, 1), IFDRational(seconds, _SECONDS_DENOMINATOR)
