"""The room: commands of viewers and staff, merged into frames and fanned out (message → room → hub → bytes)."""
