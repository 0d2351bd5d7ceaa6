"""Where a study, its files and the method meet: train a run, evaluate a run."""
