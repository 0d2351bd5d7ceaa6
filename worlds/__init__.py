"""The laboratory: a generated benchmark in KILT's formats and its pretrained checkpoint, for studies on two cores.

It imports glimmer; glimmer never imports it.
"""
