"""DAL (Gissin & Shalev-Shwartz 2019): discriminative active learning."""
