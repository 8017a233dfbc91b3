"""Timbre transfer: any recording of one voice, played by a published model.

report = transfer_file("humming.m4a", model_dir="models/violin/1a2b3c", output="violin.wav")
"""

from tinytimbre.transfer.file import TransferReport, transfer_file
from tinytimbre.transfer.model import TransferModel

__all__ = ["TransferModel", "TransferReport", "transfer_file"]
