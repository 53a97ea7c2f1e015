"""Is one result better than another? Read from git, paired by image. For compare, status and the report."""
