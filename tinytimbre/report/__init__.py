"""The outcome of a sweep as tables, a page and a picture."""
