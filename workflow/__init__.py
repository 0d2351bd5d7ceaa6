"""The Snakemake workflow; its modules are the part of it that tests reach."""
