"""Places of audio: a file, a part of a file such as a member of a shard, or either of them at a URL."""
