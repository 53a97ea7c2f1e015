"""What people and CI run over the pipeline."""
