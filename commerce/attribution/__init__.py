"""Who brought whom: tokens, touches, the share tree and the decision stored with each order."""
