"""What a person writes, checked: params.yaml and the catalogue of data sets."""
