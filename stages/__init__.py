"""What DVC runs: one script a stage, and the few modules that they share."""
