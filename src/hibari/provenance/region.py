"""What the rules of a region ask of a file beyond what every file carries: words in the picture, and a metadata label.

China: the Measures for Labelling AI-generated Synthetic Content and GB 45438-2025, in force since 2025-09-01; where the
metadata label lies in a file is said by TC260's practice guides, for pictures as an XMP property and for MP4 under the
key AIGC in moov.udta.meta. This is a help with those rules and not a promise of meeting them: see docs/provenance.md.
"""

import json
from dataclasses import dataclass
from typing import Self
from xml.sax.saxutils import escape

from hibari.config import Settings
from hibari.provenance.ids import GenerationId

METADATA_MARK = "AIGC metadata label"  # how the signed credentials name it
_KEY = "AIGC"
_NAMESPACE = "http://www.tc260.org.cn/ns/AIGC/1.0/"
_GENERATED = "1"  # it was generated, and not only perhaps (2) or by suspicion (3)


@dataclass(frozen=True, kw_only=True)
class MetadataLabel:
    """The implicit label of GB 45438-2025, Annex E: who made the content, and by which number it is known there.

    The fields of a platform that passes the file on are empty: whoever writes them in later changes a signed file.
    """

    producer: str
    id: GenerationId

    def as_json(self) -> str:
        """The label as the standard writes it, on one line."""
        fields = {
            "Label": _GENERATED,
            "ContentProducer": self.producer,
            "ProduceID": str(self.id),
            "ReservedCode1": "",
            "ContentPropagator": "",
            "PropagateID": "",
            "ReservedCode2": "",
        }
        return json.dumps(fields, ensure_ascii=False, separators=(",", ":"))

    def tags(self) -> dict[str, str]:
        """The label as a tag of an MP4 file."""
        return {_KEY: self.as_json()}

    def xmp(self) -> str:
        """The label as an XMP packet, for a picture."""
        return (
            '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
            f'<rdf:Description rdf:about="" xmlns:TC260="{_NAMESPACE}">'
            f"<TC260:AIGC>{escape(self.as_json())}</TC260:AIGC>"
            "</rdf:Description></rdf:RDF></x:xmpmeta>"
        )


@dataclass(frozen=True, kw_only=True)
class Region:
    """A region's rules as this installation follows them; `producer` is the provider's name or code, for "cn"."""

    name: str = "none"
    producer: str = ""

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """The region that the settings name; they have been checked to go together."""
        if settings.region == "none":
            return cls()
        assert settings.organisation, "the settings ask for it"
        return cls(name=settings.region, producer=settings.organisation)

    def metadata_label(self, id: GenerationId) -> MetadataLabel | None:
        """What goes into the metadata of the file `id`; None where the region asks for nothing."""
        return MetadataLabel(producer=self.producer, id=id) if self.name == "cn" else None
