"""Groups of products: what products share, and whole groups dealt to the parts of a split."""
