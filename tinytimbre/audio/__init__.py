"""From a folder of recordings to checked 16 kHz takes: reading, checking, near-duplicates, splits."""
