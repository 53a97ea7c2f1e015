"""From raw files to splits and their summary. For preprocess."""
