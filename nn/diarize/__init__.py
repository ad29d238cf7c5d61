"""Who speaks when, from windows of a recording: cut it, join what each window says, cluster voices, find speech."""
