"""Audio of any length: whole recordings, their blocks and pieces, and audio that is still coming."""
