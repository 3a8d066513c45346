"""Who somebody is: people and the keys by which channels know them."""
