"""Blessed models go where clients find them."""
