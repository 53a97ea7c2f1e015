"""What lies on disk between the stages: paths, whole files, arrays."""
