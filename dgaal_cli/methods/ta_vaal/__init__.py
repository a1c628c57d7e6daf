"""TA-VAAL (Kim, Park, Kim & Chun 2021): task-aware VAAL."""
