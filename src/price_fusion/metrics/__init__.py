"""Figures: of prices, by price, of parts that are merged, with bootstrap and conformal intervals."""
