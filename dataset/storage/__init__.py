"""Files and caches that survive a kill and are safe under several processes."""
