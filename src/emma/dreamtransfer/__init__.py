"""DreamTransfer: recorded episodes in new appearances, same motion, same geometry."""
