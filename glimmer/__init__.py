"""GLIMMER, reproduced: readers, retrieval, training and evaluation for arXiv 2306.10231."""

__version__ = "0.1.0"
