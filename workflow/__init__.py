"""The Snakemake workflow; `layout` is the part of it that tests reach."""
