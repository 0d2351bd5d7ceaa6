"""Gates: what a study must reach before its grid is run (config/gates.yaml), evaluated on what its results hold."""
