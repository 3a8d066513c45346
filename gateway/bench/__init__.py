"""``siyu bench``: the promises about speed, each measured beside its baseline in the same run (design.md section 4)."""
