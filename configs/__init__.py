"""Presets: ``configs/<problem>/<name>.yaml``, found by ``--config <name>``."""
