"""Where a data set comes from: mirrors and packages. For download."""
