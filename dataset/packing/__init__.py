"""Packing: the audio of metadata CSVs in tar shards, and the same CSVs with places in them."""
