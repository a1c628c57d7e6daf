"""VAAL (Sinha, Ebrahimi & Darrell 2019): as released, and with corrected scales."""
