"""Diarization by windows: cut a recording, join the activities of its windows, cluster voices, find speech."""
