"""SRAAL (Zhang, Li, Yang, Wang, Zha & Huang 2020): state relabeling."""
