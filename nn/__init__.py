"""Modules: tensors in, tensors out. Nothing here reads or writes a file, and nothing here knows a problem."""
