"""The answers of audits, in the order of their draws."""

from dataclasses import dataclass

from dgaal_cli.audit.stratum import Stratum


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditAnswer:
    """One audited image with a label."""

    audit: int
    """Number of the audit: the round of its query."""
    total: int
    """Images from which the audit was drawn."""
    stratum: Stratum
    is_right: bool
    """Whether the model predicts the label."""

    @property
    def weight(self) -> float:
        """What the image counts, where one of a simple random sample counts 1."""
        return self.stratum.size / self.total / self.stratum.share
